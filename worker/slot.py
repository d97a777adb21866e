"""One training lane: a long-lived thread that claims a cohort, supervises its child, and begins again.

The thread must live as long as the worker, for the kernel kills a child when the thread that started it ends.
"""

import os
import threading
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from services import faults
from services.artifacts.chosen import artifacts_of
from services.cohorts.claim import Claim, claim
from services.cohorts.failure import hand_back
from services.cohorts.quarantine import UnreadableError, quarantine, told
from services.cohorts.turns import gives_way, waiting
from services.db.database import Database
from services.db.unit_of_work import is_unreadable
from services.heartbeat import boottime
from services.settings import Settings
from services.traces import Traces
from worker.attempt_record import AttemptRecord
from worker.bell import Bell
from worker.child import Child
from worker.devices import Devices
from worker.environment import child_environment
from worker.supervisor import Supervisor
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)

REST_SECONDS = 1.0


class Slot(threading.Thread):
    """A lane of this worker."""

    def __init__(
        self,
        number: int,
        worker_id: str,
        database: Database,
        settings: Settings,
        bell: Bell,
        *,
        command: Sequence[str],
        devices: Devices,
        more_work: Callable[[], None],
        telemetry: Telemetry | None = None,
        traces: Traces | None = None,
    ) -> None:
        super().__init__(name=f"slot-{number}", daemon=True)
        self.busy = False
        self._worker_id = worker_id
        self._database = database
        self._settings = settings
        self._bell = bell
        self._command = command
        self._devices = devices
        self._more_work = more_work
        self._telemetry = telemetry or Telemetry()
        self._traces = traces or Traces()
        self._draining = threading.Event()
        self._hurry = threading.Event()
        self._spare: Child | None = None
        self._supervisor: Supervisor | None = None
        self._artifacts = artifacts_of(settings)
        self._problem: str | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for work, and the process that will do it has imported all it needs."""
        spare = self._spare
        return not self.busy and spare is not None and spare.ready

    @property
    def held(self) -> str | None:
        """The cohort whose lease it keeps."""
        supervisor = self._supervisor
        return None if supervisor is None else supervisor.held

    def drain(self, *, hurry: bool = False) -> None:
        """Take no more work and give back what is running; `hurry` leaves the child no time for a checkpoint."""
        self._draining.set()
        if hurry:
            self._hurry.set()

    def run(self) -> None:
        """Work until drained."""
        while not self._draining.is_set():
            rings = self._bell.rings
            try:
                self._keep_spare()
                if not self._work():
                    self._bell.wait(rings, self._settings.sweep_seconds)
            except Exception:
                # Nothing that goes wrong with one cohort may cost the worker its lane; the lease settles the rest.
                log.exception("slot_failed", slot=self.name)
                self._draining.wait(REST_SECONDS)
        if self._spare is not None:
            self._spare.end()

    def _work(self) -> bool:
        """Do one cohort if there is one."""
        devices = self._devices.usable
        with self._database.read() as session:
            if not waiting(session, devices):
                return False
        if not self._able():
            return False
        since = boottime()
        try:
            taken: Claim | None = self._database.transact(
                lambda session: claim(session, self._worker_id, self._settings.lease_seconds, devices)
            )
        except UnreadableError as error:
            log.error("cohort_unreadable", cohort_id=error.cohort_id, detail=error.detail)
            bad, detail = error.cohort_id, error.detail
            return self._database.transact(lambda session: quarantine(session, bad, detail))
        if taken is None:
            return False
        self.busy = True
        self._telemetry.claim.observe(boottime() - since)
        if taken.waited_seconds is not None:
            self._telemetry.wait.observe(taken.waited_seconds)
        try:
            with structlog.contextvars.bound_contextvars(**taken.ids):
                self._attempt(taken, since)
        finally:
            self.busy = False
        return True

    def _attempt(self, taken: Claim, since: float) -> None:
        try:
            faults.point("worker.after_claim")
            self._supervise(taken, since)
        except Exception as error:
            # Whatever went wrong here, it was not the experiment: the supervisor has seen to what was.
            log.exception("attempt_broke_off")
            self._telemetry.attempts.labels("returned").inc()
            self._hand_back(taken, error)
            self._draining.wait(REST_SECONDS)

    def _able(self) -> bool:
        """Whether what is claimed could be carried through; if not, the work is held, and the log says for what."""
        problem = self._artifacts.problem()
        if problem != self._problem:
            self._problem = problem
            if problem is None:
                log.info("work_goes_on", slot=self.name)
            else:
                log.error("work_held", slot=self.name, problem=problem)
        return problem is None

    def _hand_back(self, taken: Claim, error: Exception) -> None:
        """Give the cohort back without touching its budgets; where the database is away too, its lease runs out.

        One with a row that cannot be read would break off again for ever, and is set apart.
        """

        def back(session: Session) -> object:
            if is_unreadable(error):
                return quarantine(session, taken.cohort_id, told(error), taken.attempt)
            detail = f"{type(error).__name__}: {error}"
            return hand_back(session, taken.cohort_id, taken.attempt, "returned", detail)

        try:
            self._database.transact(back)
        except SQLAlchemyError as again:
            log.warning("not_handed_back", error=type(again).__name__)

    def _supervise(self, taken: Claim, since: float) -> None:
        self._call_others()
        child, self._spare = self._take_spare(), None
        child.ids = taken.ids
        parent = taken.origin.traceparent
        try:
            log.info("attempt_started", pid=child.pid, trials=len(taken.trials))
            with self._traces.span("attempt", parent=parent, kind="consumer", **taken.ids) as span:
                self._supervisor = Supervisor(
                    self._database,
                    self._settings,
                    taken,
                    child,
                    claimed_at=since,
                    draining=self._draining.is_set,
                    hurry=self._hurry.is_set,
                    gives_way=lambda: self._gives_way(taken.cohort_id),
                    idle=self._prepare_next,
                    record=AttemptRecord(self._telemetry, taken, since, traces=self._traces, span=span),
                )
                self._supervisor.run()
        finally:
            self._supervisor = None
            child.end()

    def _call_others(self) -> None:
        """Another slot, here or in another worker, may be idle: one doorbell wakes only one of them."""
        with self._database.read() as session:
            if waiting(session, self._devices.usable):
                self._bell.ring()
                self._more_work()

    def _gives_way(self, cohort_id: str) -> bool:
        try:
            with self._database.read() as session:
                return gives_way(session, cohort_id, self._devices.usable)
        except SQLAlchemyError as error:  # who waits can wait until the database answers again
            log.warning("turn_not_known", error=type(error).__name__)
            return False

    def _prepare_next(self) -> None:
        """While one cohort trains: if another waits, let its child import what it needs already."""
        if self._spare is None and not self._draining.is_set():
            try:
                with self._database.read() as session:
                    if waiting(session, self._devices.usable):
                        self._keep_spare()
            except (SQLAlchemyError, OSError) as error:  # what is only to be quick later must not cost what runs now
                log.warning("spare_not_prepared", error=type(error).__name__)

    def _keep_spare(self) -> None:
        if self._spare is not None and not self._spare.alive:
            log.warning("spare_child_died", tail=list(self._spare.tail)[-3:])
            self._spare.end()
            self._spare = None
        if self._spare is None:
            self._spare = Child(self._command, child_environment(os.environ, self._settings, self._worker_id))
        if self._spare.ready:
            self._devices.heard(self._spare.devices)

    def _take_spare(self) -> Child:
        self._keep_spare()
        assert self._spare is not None
        return self._spare
