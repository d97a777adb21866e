"""The checkpoint files of one attempt: which of them it resumes from, and how new ones come to the store."""

from collections.abc import Callable
from pathlib import Path

import structlog

from services.artifacts.interface import Artifacts, Condition, GiveUp, never
from services.child_protocol import CheckpointReport, Resume
from services.cohorts.claim import Claim
from worker.child import MalformedError

log = structlog.get_logger(__name__)


class CheckpointFiles:
    """Those of the claim's attempt. `forget` removes the rows of these epochs, whose files are damaged."""

    def __init__(self, artifacts: Artifacts, claim: Claim, forget: Callable[[list[int]], object]) -> None:
        self._artifacts = artifacts
        self._claim = claim
        self._forget = forget

    def folder(self) -> Path:
        """Where the child writes them, made here."""
        return self._artifacts.attempt_folder(self._claim.cohort_id, self._claim.attempt)

    def resume(self, give_up: GiveUp = never) -> Resume | None:
        """The newest checkpoint whose file can be had and is whole.

        Rows of damaged files are removed. Those of missing ones stay: another host may have them.

        Raises:
            StoreUnreachableError: the store does not answer, so that nobody knows which are there, or it was given up.
        """
        epochs: dict[Condition, list[int]] = {"damaged": [], "missing": []}
        newest: Resume | None = None
        for saved in self._claim.checkpoints:
            condition, path = self._artifacts.fetch(
                saved.path, saved.sha256, self._claim.cohort_id, self._claim.attempt, give_up
            )
            if path is not None:
                newest = {"epoch": saved.epoch, "path": str(path), "sha256": saved.sha256, "slots": saved.slots}
                break
            epochs[condition].append(saved.epoch)
        if damaged := epochs["damaged"]:
            log.warning("checkpoints_damaged", epochs=damaged)
            self._forget(damaged)
        if missing := epochs["missing"]:
            hint = "all workers of one database need the same FIRSTLIGHT_ARTIFACTS_URL, or the same home folder"
            log.warning("checkpoints_missing", epochs=missing, folder=self._artifacts.place, hint=hint)
        return newest

    def published(self, file: CheckpointReport, give_up: GiveUp = never) -> CheckpointReport | None:
        """The report of a file that is in the store now, by its name there.

        None where it is not: training goes on without it, which costs time if the worker is lost, and no number.

        Raises:
            MalformedError: the child names a file that is not its own.
        """
        try:
            return {**file, "path": self._artifacts.publish(Path(file["path"]), give_up)}
        except ValueError as error:
            raise MalformedError(str(error)) from error
        except OSError as error:
            log.warning("checkpoint_not_stored", epoch=file["epoch"], error=str(error)[:500])
            return None
