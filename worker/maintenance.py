"""The worker's housekeeping thread: finds work without a doorbell, takes back what dead workers held, tidies up."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from services.artifacts.chosen import artifacts_of
from services.artifacts.interface import StoreUnreachableError
from services.cohorts import events, workers
from services.cohorts.leftovers import unneeded
from services.cohorts.packing import pack_one
from services.cohorts.sweep import overdue, reap, sweep
from services.cohorts.workers import Identity
from services.datasets.shared import SharedUploads
from services.db.base import now
from services.db.database import Database
from services.experiments import idempotency
from services.heartbeat import Heartbeat, boottime
from services.settings import Settings
from worker.bell import Bell
from worker.devices import Devices
from worker.identity import lives
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)

WATCH_SECONDS = 0.05
"""How often SQLite is asked whether anybody has committed; the question costs some microseconds."""
TIDY_SECONDS = 60.0
FORGET_SECONDS = 600.0
"""Between two looks for events and answers that have been kept for long enough."""
FORGET_ROWS, FORGET_PIECES = 1_000, 50
"""Most rows removed in one transaction, so that others need not wait long for theirs; and most of these in one look."""
WOKEN_SWEEPS = 5
"""A sweep that comes so many periods late shows that this process slept, or could not run."""
WOKEN_BEATS = 2
"""For so many heartbeats leases are then left alone."""
FOREIGN_SECONDS = 86_400.0


class Maintenance(threading.Thread):
    """See the module."""

    def __init__(
        self,
        worker_id: str,
        identity: Identity,
        database: Database,
        settings: Settings,
        bell: Bell,
        *,
        devices: Devices,
        register: Callable[[Session], None],
        draining: Callable[[], bool],
        working: Callable[[], bool],
        held: Callable[[], list[str]],
        telemetry: Telemetry | None = None,
        show: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self.last_sweep = 0.0
        self._worker_id = worker_id
        self._identity = identity
        self._database = database
        self._settings = settings
        self._artifacts = artifacts_of(settings)
        self._uploads = SharedUploads(settings.data_path, self._artifacts) if settings.shares_uploads else None
        self._bell = bell
        self._devices = devices
        self._register = register
        self._draining = draining
        self._working = working
        self._held = held
        self._telemetry = telemetry or Telemetry()
        self._show = show
        self._heartbeat = Heartbeat(settings.home, settings.heartbeat_seconds)
        self._swept_at, self._patient_until = boottime(), 0.0
        self._unpackable: set[str] = set()
        self._due: dict[str, float] = {}
        self._ended = threading.Event()

    def stop(self) -> None:
        """End soon."""
        self._ended.set()

    def run(self) -> None:
        """Watch, sweep, beat and tidy, each at its own pace; an error costs one round."""
        seen = None
        pause = WATCH_SECONDS if self._database.is_sqlite else min(0.25, self._settings.sweep_seconds)
        while not self._ended.wait(pause):
            try:
                version = self._database.data_version()
                if version != seen:
                    seen = version
                    self._bell.ring()
                self._when_due(self.sweep, self._settings.sweep_seconds)
                self._when_due(self.beat, self._settings.heartbeat_seconds)
                self._when_due(self.tidy, TIDY_SECONDS)
                self._when_due(self.forget, FORGET_SECONDS)
            except Exception as error:  # noqa: BLE001 - a database that is away comes back, and so do we
                log.warning("maintenance_failed", error=f"{type(error).__name__}: {error}"[:300])
        self._heartbeat.stop()

    def _when_due(self, duty: Callable[[], None], period: float) -> None:
        if time.monotonic() >= self._due.get(duty.__name__, 0.0):
            self._due[duty.__name__] = time.monotonic() + period
            duty()

    def sweep(self) -> None:
        """Take back at once what dead workers of this machine held, and what has outlived its lease anywhere."""
        self.reap_neighbours()
        if self._just_woken():
            return
        with self._database.read() as session:
            silent = overdue(session, self._held())
        taken = self._database.transact(lambda session: sweep(session, self._held())) if silent else 0
        self.last_sweep = time.monotonic()
        if taken:
            self._telemetry.expiries.labels("silent").inc(taken)
            log.warning("leases_ran_out", cohorts=taken)
            self._bell.ring()

    def _just_woken(self) -> bool:
        """Whether this process slept, and the others' leases ran out meanwhile: they are given time to be renewed.

        Where the whole machine slept, its workers wake at once, and whoever sweeps first would take from the living.
        """
        present = boottime()
        if present - self._swept_at > max(
            WOKEN_SWEEPS * self._settings.sweep_seconds, self._settings.heartbeat_seconds
        ):
            self._patient_until = present + WOKEN_BEATS * self._settings.heartbeat_seconds
        self._swept_at = present
        return present < self._patient_until

    def beat(self) -> None:
        """Show that this worker lives: to the others in the database, to a health check in a file.

        One that was taken off the list, by hand or because it slept for long, puts itself on again.
        """
        draining, away = self._draining(), self._artifacts.problem()
        problem, store = away or self._devices.problem, None if away else self._store()
        device = " ".join(self._devices.usable)
        registered = self._database.transact(
            lambda session: workers.beat(
                session, self._worker_id, draining=draining, problem=problem, device=device, store=store
            )
        )
        if not registered and not self._ended.is_set():
            log.warning("worker_was_unknown")
            self._database.transact(self._register)
        if draining:
            self._heartbeat.stop()
        elif self._working():
            self._heartbeat.beat()
        self._show()

    def _store(self) -> workers.Store | None:
        """What the store is known by; None where that cannot be read now."""
        try:
            return workers.Store(self._artifacts.identity(), self._artifacts.place)
        except StoreUnreachableError:
            return None

    def reap_neighbours(self) -> None:
        """A worker that was killed here is known to be dead: its cohorts need not wait for their leases."""
        with self._database.read() as session:
            neighbours = workers.neighbours(session, self._identity.host, self._identity.boot_id)
        dead = [worker_id for worker_id, identity in neighbours if worker_id != self._worker_id and not lives(identity)]
        if not dead:
            return
        taken = self._database.transact(lambda session: reap(session, dead))
        self._telemetry.expiries.labels("dead").inc(taken)
        log.warning("neighbours_died", workers=dead, cohorts=taken)
        self._database.transact(lambda session: [workers.forget(session, worker_id) for worker_id in dead])
        self._bell.ring()

    def _pack(self) -> str | None:
        return self._database.transact(lambda session: pack_one(session, self._unpackable))

    def forget(self) -> None:
        """Remove events and remembered answers that have been kept for as long as the settings say."""
        for forget, days in (
            (events.forget, self._settings.keep_events_days),
            (idempotency.forget, self._settings.keep_answers_days),
        ):
            before = now() - timedelta(days=days)
            for _ in range(FORGET_PIECES):
                gone = self._database.transact(partial(forget, before=before, limit=FORGET_ROWS))
                if gone == 0 or self._ended.is_set():
                    break
                self._when_due(self.beat, self._settings.heartbeat_seconds)

    def tidy(self) -> None:
        """Pack curves that were too long to pack at once, and remove files that nothing will resume from."""
        self._database.transact(workers.forget_silent)
        self._heartbeat.tidy()
        while not self._ended.is_set() and self._pack() is not None:
            self._when_due(self.beat, self._settings.heartbeat_seconds)
        present = self._artifacts.cohorts()
        with self._database.read() as session:
            final, unknown = unneeded(session, present)
        # A folder this database knows nothing of may belong to another database: it is given time.
        for cohort_id in [*final, *(name for name in unknown if self._artifacts.age(name) > FOREIGN_SECONDS)]:
            self._artifacts.remove_cohort(cohort_id)
        if self._uploads is not None:
            self._uploads.tidy()
