"""The first message to a child: what to train, from which checkpoint, and how."""

from dataclasses import dataclass

from services.artifacts import Artifacts
from services.child_protocol import PlannedTrial, Resume, Start
from services.cohorts.claim import Claim
from services.settings import Settings
from worker.devices import child_device
from worker.environment import threads


@dataclass(frozen=True)
class SavedFiles:
    """What became of the files of a cohort's checkpoints.

    Attributes:
        newest: the newest one that is here and whole; None to begin at the beginning.
        damaged: epochs whose files are here, and not what was recorded.
        missing: epochs whose files are not here; another host may have them.
    """

    newest: Resume | None
    damaged: list[int]
    missing: list[int]


def saved_files(claim: Claim, artifacts: Artifacts) -> SavedFiles:
    """Look through the checkpoints, the newest first, until one is whole."""
    damaged: list[int] = []
    missing: list[int] = []
    for saved in claim.checkpoints:
        condition = artifacts.condition(saved.path, saved.sha256)
        if condition == "intact":
            path = str(artifacts.absolute(saved.path))
            newest: Resume = {"epoch": saved.epoch, "path": path, "sha256": saved.sha256, "slots": saved.slots}
            return SavedFiles(newest, damaged, missing)
        (damaged if condition == "damaged" else missing).append(saved.epoch)
    return SavedFiles(None, damaged, missing)


def start_message(claim: Claim, settings: Settings, artifacts: Artifacts, resume: Resume | None) -> Start:
    """The message; the folder of this attempt's checkpoints is made here."""
    return {
        "type": "start",
        "spec": claim.spec,
        "trials": [PlannedTrial(slot=trial.slot, arm=trial.arm, seed=trial.seed) for trial in claim.trials],
        "resume": resume,
        "report_after": claim.last_epoch,
        "checkpoint_dir": str(artifacts.attempt_folder(claim.cohort_id, claim.attempt)),
        "checkpoint_seconds": settings.checkpoint_seconds,
        "data_dir": str(settings.data_path),
        "device": child_device(settings, claim.spec),
        "threads": threads(settings),
        "engine": settings.engine,
        "watts_per_core": settings.cpu_watts_per_core,
    }
