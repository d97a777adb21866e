"""The start message of an attempt: what its child is to train, and from which checkpoint it goes on."""

from collections.abc import Callable

import structlog

from services.artifacts import Artifacts, Condition
from services.child_protocol import PlannedTrial, Resume, Start
from services.cohorts.claim import Claim
from services.settings import Settings
from worker.devices import child_device
from worker.environment import threads

log = structlog.get_logger(__name__)


def newest_whole(claim: Claim, artifacts: Artifacts, forget: Callable[[list[int]], None]) -> Resume | None:
    """The newest checkpoint whose file is here and whole; None where there is none.

    Those of damaged files are told to `forget` by their epochs. Missing ones stay: another host may have them.
    """
    epochs: dict[Condition, list[int]] = {"damaged": [], "missing": []}
    newest: Resume | None = None
    for saved in claim.checkpoints:
        condition = artifacts.condition(saved.path, saved.sha256)
        if condition == "intact":
            path = str(artifacts.absolute(saved.path))
            newest = {"epoch": saved.epoch, "path": path, "sha256": saved.sha256, "slots": saved.slots}
            break
        epochs[condition].append(saved.epoch)
    of_cohort = log.bind(cohort=claim.cohort_id, attempt=claim.attempt)
    if damaged := epochs["damaged"]:
        of_cohort.warning("checkpoints_damaged", epochs=damaged)
        forget(damaged)
    if missing := epochs["missing"]:
        hint = "all workers of one database need the same home folder"
        of_cohort.warning("checkpoints_missing", epochs=missing, folder=str(artifacts.root), hint=hint)
    return newest


def start_message(claim: Claim, settings: Settings, artifacts: Artifacts, resume: Resume | None) -> Start:
    """What the child is told; makes the folder for its files."""
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
