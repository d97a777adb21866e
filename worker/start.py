"""The start message of an attempt: what its child is to train, and from which checkpoint it goes on."""

from pathlib import Path

from services.child_protocol import PlannedTrial, Resume, Start
from services.cohorts.claim import Claim
from services.settings import Settings
from worker.devices import child_device
from worker.environment import threads


def start_message(claim: Claim, settings: Settings, folder: Path, resume: Resume | None) -> Start:
    """What the child is told; `folder` is where it writes its checkpoints."""
    return {
        "type": "start",
        "spec": claim.spec,
        "trials": [PlannedTrial(slot=trial.slot, arm=trial.arm, seed=trial.seed) for trial in claim.trials],
        "resume": resume,
        "report_after": claim.last_epoch,
        "checkpoint_dir": str(folder),
        "checkpoint_seconds": settings.checkpoint_seconds,
        "data_dir": str(settings.data_path),
        "device": child_device(settings, claim.spec),
        "threads": threads(settings),
        "engine": settings.engine,
        "watts_per_core": settings.cpu_watts_per_core,
    }
