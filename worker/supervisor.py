"""Supervise one attempt of one cohort: start the child, store what it reports, do what is asked, note how it ended.

The child computes, the supervisor writes: an epoch is acknowledged to the child only after its commit, and a state such
as "cancelled" is written only after the child has been reaped.
"""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from services import faults
from services.artifacts.chosen import artifacts_of
from services.child_protocol import (
    Ack,
    Energy,
    Start,
    StopMode,
    read_energy,
    read_epochs,
    read_saved,
    read_started,
)
from services.cohorts.checkpoints import forget
from services.cohorts.claim import Claim, desired
from services.cohorts.commit import Commit, Outcome, OutOfOrderError, commit_checkpoint, commit_epochs, started
from services.cohorts.endings import UnfinishedError, finish, release
from services.cohorts.failure import Failure, fail, hand_back
from services.cohorts.leftovers import unneeded
from services.datasets.shared import SharedUploads, have_upload
from services.datasets.shared_files import SharedFiles
from services.db.database import Database
from services.db.unit_of_work import UnitOfWork, is_transient
from services.heartbeat import boottime
from services.quotes.history import learn
from services.settings import Settings
from worker import exits
from worker.attempt_record import AttemptRecord
from worker.checkpoint_files import CheckpointFiles
from worker.child import Child, MalformedError
from worker.lease import FencedError, Lease
from worker.start import start_message
from worker.stop_orders import Order, StopOrder
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

POLL_SECONDS = 0.25
TERM_AFTER_SECONDS = 0.5
KILL_AFTER_SECONDS = 2.0
DRAIN_SECONDS = 10.0
"""How long a child may take to come to the end of a batch and write a checkpoint when it is to pause or drain."""
LAST_WORD_SECONDS = 5.0
AWAKE_SECONDS = 1.0
"""The most that one turn of listening counts as silence of the child: longer ones are our own sleep."""


class Supervisor:
    """One attempt. `draining` tells whether the worker is to end; `idle` is called about once a second meanwhile.

    `gives_way` tells whether an experiment that has never begun waits for this very cohort to be set down.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        claim: Claim,
        child: Child,
        *,
        claimed_at: float,
        draining: Callable[[], bool],
        hurry: Callable[[], bool],
        gives_way: Callable[[], bool],
        idle: Callable[[], None],
        record: AttemptRecord | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._claim = claim
        self._child = child
        self._artifacts = artifacts_of(settings)
        self._files = CheckpointFiles(self._artifacts, claim, self._forget)
        self._record = record or AttemptRecord(Telemetry(), claim, claimed_at)
        self._lease = Lease(database, settings, claim, child, claimed_at, self._record.telemetry)
        self._draining = draining
        self._hurry = hurry
        self._gives_way = gives_way
        self._idle = idle
        self._turn_over = 0.0
        self._asked_to_give_way = 0
        self._begun = False
        self._from_epoch = -1
        self._engine = ""
        self._stop: StopOrder | None = None
        self._silent = 0.0
        self._last: dict[str, Any] | None = None
        self._energy: Energy | None = None
        self._failure: Failure | None = None

    @property
    def held(self) -> str | None:
        """The cohort, for as long as nothing says that its lease is lost."""
        return None if self._lease.lost.is_set() else self._claim.cohort_id

    def run(self) -> str:
        """See the attempt through; returns what became of the cohort: succeeded, queued, failed, fenced, ..."""
        self._lease.start()
        try:
            with self._record.training(self._child.pid):
                self._child.send(self._start_message())
                self._converse()
            self._lease.stop()
            verdict = self._conclude(self._child.end(LAST_WORD_SECONDS if self._last is not None else 0.0))
        except FencedError:
            self._lease.stop()
            self._child.end()
            verdict = self._unfence()
        finally:
            self._lease.stop()
            self._child.end()
            self._artifacts.end_attempt(self._claim.cohort_id, self._claim.attempt)
        if verdict in ("succeeded", "failed", "cancelled"):
            self._tidy()
        self._record.ended(verdict, self._failure)
        log.info("attempt_ended", verdict=verdict, failure=self._failure.code if self._failure else None)
        return verdict

    def _unfence(self) -> str:
        """The lease was not kept, which is nobody's failure; where nobody took the cohort over, it is given back."""
        claim = self._claim
        if not self._lease.taken:
            detail = "its worker could not renew the lease in time"
            with suppress(SQLAlchemyError):  # a database that is away takes it back itself when the lease has run out
                self._database.transact(
                    lambda session: hand_back(session, claim.cohort_id, claim.attempt, "lost", detail)
                )
        return "fenced"

    def _tidy(self) -> None:
        """Remove the files of a cohort that is final; where that goes wrong, the housekeeping does it later."""
        with suppress(SQLAlchemyError), self._database.read() as session:
            for cohort_id in unneeded(session, [self._claim.cohort_id])[0]:
                self._artifacts.remove_cohort(cohort_id)

    def _start_message(self) -> Start:
        claim, settings = self._claim, self._settings
        if settings.shares_uploads:
            have_upload(claim.spec.get("dataset"), SharedUploads(settings.data_path, self._artifacts))
            SharedFiles(settings.data_path, self._artifacts).have(claim.spec.get("dataset"))
        resume = self._files.resume(lambda: self._unwanted() or self._draining())
        self._from_epoch = -1 if resume is None else resume["epoch"]
        return start_message(claim, settings, self._files.folder(), resume)

    def _unwanted(self) -> bool:
        """Whether nothing that takes long is worth while any more."""
        return self._lease.lost.is_set() or self._hurry() or self._lease.desired == "cancel"

    def _forget(self, epochs: list[int]) -> None:
        self._write(lambda session: forget(session, self._claim.cohort_id, epochs))

    def _converse(self) -> None:
        """Hear the child out until its last message, its end, or the order to kill it."""
        looked = ticked = 0.0
        turn = time.monotonic()
        while self._last is None and not self._child.drained:
            message = self._child.receive(POLL_SECONDS / 4)
            if self._lease.lost.is_set():
                raise FencedError
            if message is not None:
                self._hear(message)
            present = time.monotonic()
            if message is None:
                self._silent += min(present - turn, AWAKE_SECONDS)
            turn = present
            if present - looked >= POLL_SECONDS:
                looked = present
                self._ask()
                if self._last is None and self._failure is None:
                    self._failure = exits.too_large(self._child, self._settings.child_memory_mb)
            if present - ticked >= 1.0:
                ticked = present
                self._idle()
                self._watch_turn(present)
            if self._failure is not None or self._press():
                self._child.kill()
                return

    def _hear(self, message: Mapping[str, Any]) -> None:
        self._silent = 0.0
        try:
            match message["type"]:
                case "epochs":
                    self._store(message)
                case "checkpoint":
                    self._store_checkpoint(message)
                case "started":
                    self._begin(message)
                case "done" | "stopped" | "failed":
                    self._energy = read_energy(message)
                    self._last = dict(message)
                case _:
                    pass  # ready, beat, and whatever a newer child may say
        except (ValidationError, OutOfOrderError, MalformedError, LookupError) as error:
            self._failure = Failure("protocol", f"the child sent a message that cannot be stored: {error}")

    def _begin(self, message: Mapping[str, Any]) -> None:
        claim = self._claim
        report = read_started(message)
        device, digest = report["device"], report["dataset_digest"]
        outcome = self._write(
            lambda session: started(session, claim.cohort_id, claim.attempt, device, digest, self._from_epoch)
        )
        self._begun = True
        self._engine = report.get("engine", "unknown")
        self._record.begun(report)
        if outcome is Outcome.FENCED:
            self._record.refused("start")
            raise FencedError
        if outcome is None:
            detail = "the data file is not the one that this experiment's earlier trials were trained on"
            self._failure = Failure("dataset_changed", detail)

    def _store(self, message: Mapping[str, Any]) -> None:
        claim = self._claim
        report = read_epochs(message)
        if (file := report.get("checkpoint")) is not None:
            report["checkpoint"] = self._files.published(file, self._unwanted)

        def commit(session: UnitOfWork) -> Commit:
            committed = commit_epochs(session, claim.cohort_id, claim.attempt, report, self._settings.lease_seconds)
            faults.point("worker.before_epochs_commit", epoch=report["to"])
            return committed

        ack: Ack = {"type": "ack", "epoch": report["to"]}
        self._commit(commit, ack, lambda seconds: self._record.stored(report, seconds))

    def _store_checkpoint(self, message: Mapping[str, Any]) -> None:
        """Store a checkpoint that came by itself, most often from the middle of an epoch."""
        claim = self._claim
        report = read_saved(message)
        file, lease = report["file"], self._settings.lease_seconds
        ack: Ack = {"type": "ack", "epoch": file["epoch"], "checkpoint": file["path"]}
        placed = self._files.published(file, self._unwanted)
        if placed is None:
            self._child.send(ack)  # it has done what it could
            return
        report["file"] = placed
        self._commit(
            lambda session: commit_checkpoint(session, claim.cohort_id, claim.attempt, report, lease),
            ack,
            lambda _seconds: self._record.saved(placed),
        )

    def _commit(self, commit: Callable[[UnitOfWork], Commit], ack: Ack, record: Callable[[float], object]) -> None:
        """Write what the child has sent, let it go on, remove the files that were replaced, and do what is asked."""
        sent, began = boottime(), time.perf_counter()
        done = self._write(commit)
        faults.point("worker.after_epochs_commit", epoch=ack["epoch"])
        if done.outcome is Outcome.FENCED:
            self._record.refused("epochs")
            raise FencedError
        if done.outcome is Outcome.COMMITTED:
            record(time.perf_counter() - began)
        self._turn_over = self._turn_over or time.monotonic() + self._settings.turn_seconds
        self._lease.touched(sent)
        self._child.send(ack)
        self._artifacts.remove(done.stale)
        self._follow(done.desired)

    def _ask(self) -> None:
        """Look what is asked of the cohort, and whether the worker is to end."""
        order = self._lease.desired
        try:
            with self._database.read() as session:
                order = desired(session, self._claim.cohort_id, self._claim.attempt) or order
        except Exception as error:
            if not is_transient(error):
                raise
        self._follow(order)

    def _follow(self, order: str) -> None:
        mode: StopMode | None = "drain" if self._draining() else None
        if order in ("cancel", "pause"):
            mode = order
        if mode is not None:
            self._ask_to_stop(mode)

    def _watch_turn(self, present: float) -> None:
        """Set the cohort down when its turn is over and a newcomer waits: seen twice, for another slot may take it."""
        if self._stop is not None or not self._turn_over or present < self._turn_over:
            return
        self._asked_to_give_way = self._asked_to_give_way + 1 if self._gives_way() else 0
        if self._asked_to_give_way > 1:
            self._ask_to_stop("give way")

    def _ask_to_stop(self, mode: Order) -> None:
        if self._stop is None or self._patient or (mode == "cancel" and self._stop.mode != "cancel"):
            self._stop = StopOrder(mode)
            self._child.send({"type": "stop", "mode": "drain" if mode == "give way" else mode})
            log.info("child_asked_to_stop", mode=mode)

    def _press(self) -> bool:
        """Whether the child must be killed now: it does not stop, or it does not move."""
        present = time.monotonic()
        if self._stop is not None and not self._patient:
            if not self._begun:
                return True  # it is still loading: there is nothing to save
            patience = 0.0 if self._stop.mode == "cancel" else DRAIN_SECONDS
            waited = present - self._stop.since - patience
            if waited >= TERM_AFTER_SECONDS and not self._stop.termed:
                self._stop.termed = True
                self._child.kill(signal.SIGTERM)
            if waited >= KILL_AFTER_SECONDS or self._hurry():
                return True
        if self._silent >= self._settings.hung_seconds:
            self._failure = exits.hung(self._settings.hung_seconds)
            return True
        return False

    @property
    def _patient(self) -> bool:
        """Whether the child was asked to stop only to let another experiment begin: it has all the time it needs."""
        return self._stop is not None and self._stop.mode == "give way"

    def _conclude(self, status: int) -> str:
        """The child has been reaped: write down how it ended."""
        claim, last = self._claim, self._last
        kind = last["type"] if last is not None else None
        if last is None and self._failure is None and self._lease.lost.is_set():
            raise FencedError  # the lease ended the child, and had said so before
        energy = self._energy
        if kind == "done" and self._failure is None and last is not None:
            try:
                if self._write(lambda session: self._finish(session, energy)):
                    faults.point("worker.after_finish_commit")
                    self._record.used(energy)
                    self._learn()
                    return "succeeded"
                self._record.refused("ending")
                raise FencedError
            except UnfinishedError as error:
                self._failure = Failure("protocol", str(error))
        if (
            self._failure is None
            and kind != "failed"
            and (self._stop is not None or exits.with_worker(status, self._draining))
        ):
            verdict = self._write(lambda session: release(session, claim.cohort_id, claim.attempt, energy=energy))
            self._record.used(energy if verdict else None)
        else:
            failure = self._failure or (
                exits.reported(last)
                if last is not None and kind == "failed"
                else exits.unexplained(self._child, status)
            )
            self._failure = failure
            log.warning("attempt_failed", code=failure.code, detail=failure.detail)
            verdict = self._write(lambda session: fail(session, claim.cohort_id, claim.attempt, failure))
        if verdict is None:
            self._record.refused("ending")
            raise FencedError
        return verdict

    def _finish(self, session: UnitOfWork, energy: Energy | None) -> bool:
        finished = finish(session, self._claim.cohort_id, self._claim.attempt, energy)
        faults.point("worker.before_finish_commit")
        return finished

    def _learn(self) -> None:
        """Let the next quote know what this cohort took; what goes wrong here costs a better quote and nothing else."""
        try:
            self._database.transact(lambda session: learn(session, self._claim.cohort_id, self._engine))
        except Exception as error:  # noqa: BLE001
            log.warning("calibration_failed", error=f"{type(error).__name__}: {error}"[:300])

    def _write(self, work: Callable[[UnitOfWork], Result]) -> Result:
        """Write, and try again for as long as the lease lasts: a database that is away may come back in time.

        Raises:
            FencedError: it did not, or the lease was lost meanwhile.
        """
        end = time.monotonic() + self._settings.lease_seconds
        while True:
            try:
                return self._database.transact(work)
            except Exception as error:
                if not is_transient(error):
                    raise
                if self._lease.lost.is_set() or time.monotonic() > end:
                    raise FencedError from error
                log.warning("write_delayed", error=type(error).__name__)
                time.sleep(POLL_SECONDS)
