"""Keep the lease of a running cohort from a thread of its own, and fence oneself before it ends."""

import threading

import structlog

from services.cohorts.claim import Claim, renew
from services.db.engine import Database
from services.heartbeat import boottime
from services.settings import Settings
from worker.child import Child

log = structlog.get_logger(__name__)

MARGIN = 0.2
"""The share of the lease that is given up: the child is dead by the time another worker may begin."""
WATCH_SECONDS = 0.1


class Lease:
    """Renews until it is stopped or refused.

    Two threads, so that a database that hangs cannot keep the watch from killing the child.

    Attributes:
        lost: the lease is another's now, or may be; nothing is to be written any more.
        desired: what the last renewal heard.
    """

    def __init__(self, database: Database, settings: Settings, claim: Claim, child: Child, since: float) -> None:
        self.lost = threading.Event()
        self.desired = "run"
        self._database = database
        self._claim = claim
        self._child = child
        self._ttl = settings.lease_seconds
        self._every = settings.heartbeat_seconds
        self._renewed_at = since
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._renew, name="lease", daemon=True),
            threading.Thread(target=self._watch, name="lease-watch", daemon=True),
        ]

    def start(self) -> None:
        """Begin to renew and to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Renew no more; returns at once."""
        self._ended.set()

    def touched(self, at: float) -> None:
        """A commit sent at `at` has prolonged the lease too."""
        self._renewed_at = max(self._renewed_at, at)

    @property
    def expired(self) -> bool:
        """Whether so much time has passed since the last success that another worker may soon take over."""
        return boottime() > self._renewed_at + self._ttl * (1 - MARGIN)

    def _renew(self) -> None:
        while not self._ended.wait(self._every):
            sent = boottime()
            try:
                with self._database.write() as session:
                    desired = renew(session, self._claim.cohort_id, self._claim.attempt, self._ttl)
            except Exception as error:  # noqa: BLE001 - whatever ails the database: the watch decides, not we
                log.warning("lease_not_renewed", cohort=self._claim.cohort_id, error=type(error).__name__)
                continue
            if desired is None:
                # Also true once the attempt has ended in order: then the supervisor has stopped us before.
                if not self._ended.is_set():
                    self._fence("the lease was taken")
                return
            self._renewed_at = sent
            self.desired = desired

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            if self.expired:
                self._fence("the lease could not be renewed in time")
                return

    def _fence(self, why: str) -> None:
        self._child.kill()
        self.lost.set()
        log.warning("fenced", cohort=self._claim.cohort_id, attempt=self._claim.attempt, why=why)
