"""The worker's housekeeping thread: finds work without a doorbell, takes back what dead workers held, tidies up."""

import threading
import time
from collections.abc import Callable

import structlog

from services.artifacts import Artifacts
from services.cohorts import workers
from services.cohorts.leftovers import unneeded
from services.cohorts.packing import pack_one
from services.cohorts.sweep import overdue, reap, sweep
from services.cohorts.workers import Identity
from services.db.engine import Database
from services.settings import Settings
from worker.bell import Bell
from worker.identity import lives

log = structlog.get_logger(__name__)

WATCH_SECONDS = 0.05
"""How often SQLite is asked whether anybody has committed; the question costs some microseconds."""
TIDY_SECONDS = 60.0
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
        draining: Callable[[], bool],
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self.last_sweep = 0.0
        self._worker_id = worker_id
        self._identity = identity
        self._database = database
        self._settings = settings
        self._artifacts = Artifacts(settings.home)
        self._bell = bell
        self._draining = draining
        self._ended = threading.Event()

    def stop(self) -> None:
        """End soon."""
        self._ended.set()

    def run(self) -> None:
        """Watch, sweep, beat and tidy, each at its own pace; an error costs one round."""
        duties: list[tuple[float, Callable[[], None]]] = [
            (self._settings.sweep_seconds, self.sweep),
            (self._settings.heartbeat_seconds, self.beat),
            (TIDY_SECONDS, self.tidy),
        ]
        due = [0.0] * len(duties)
        seen = None
        pause = WATCH_SECONDS if self._database.is_sqlite else min(0.25, self._settings.sweep_seconds)
        while not self._ended.wait(pause):
            try:
                version = self._database.data_version()
                if version != seen:
                    seen = version
                    self._bell.ring()
                for place, (period, duty) in enumerate(duties):
                    if time.monotonic() >= due[place]:
                        due[place] = time.monotonic() + period
                        duty()
            except Exception as error:  # noqa: BLE001 - a database that is away comes back, and so do we
                log.warning("maintenance_failed", error=f"{type(error).__name__}: {error}"[:300])

    def sweep(self) -> None:
        """Take back at once what dead workers of this machine held, and what has outlived its lease anywhere."""
        self.reap_neighbours()
        with self._database.read() as session:
            silent = overdue(session)
        taken = self._database.transact(sweep) if silent else 0
        self.last_sweep = time.monotonic()
        if taken:
            log.warning("leases_ran_out", cohorts=taken)
            self._bell.ring()

    def beat(self) -> None:
        """Show that this worker lives."""
        self._database.transact(lambda session: workers.beat(session, self._worker_id, draining=self._draining()))

    def reap_neighbours(self) -> None:
        """A worker that was killed here is known to be dead: its cohorts need not wait for their leases."""
        with self._database.read() as session:
            known = workers.neighbours(session, self._identity.host, self._identity.boot_id)
        dead = [worker_id for worker_id, identity in known if worker_id != self._worker_id and not lives(identity)]
        if not dead:
            return
        taken = self._database.transact(lambda session: reap(session, dead))
        log.warning("neighbours_died", workers=dead, cohorts=taken)
        self._database.transact(lambda session: [workers.forget(session, worker_id) for worker_id in dead])
        self._bell.ring()

    def tidy(self) -> None:
        """Pack curves that were too long to pack at once, and remove files that nothing will resume from."""
        self._database.transact(workers.forget_silent)
        while not self._ended.is_set() and self._database.transact(pack_one) is not None:
            pass
        present = self._artifacts.cohorts()
        with self._database.read() as session:
            final, unknown = unneeded(session, present)
        # A folder this database knows nothing of may belong to another database: it is given time.
        for cohort_id in [*final, *(name for name in unknown if self._artifacts.age(name) > FOREIGN_SECONDS)]:
            self._artifacts.remove_cohort(cohort_id)
