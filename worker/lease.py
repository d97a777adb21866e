"""Keep the lease of a running cohort from a thread of its own, and fence oneself before it ends."""

import threading
from collections.abc import Callable
from contextvars import copy_context

import structlog

from services.cohorts.claim import Claim, renew
from services.db.database import Database
from services.heartbeat import boottime
from services.settings import Settings
from worker.child import Child
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)

MARGIN = 0.2
"""The share of the lease at whose beginning the database is asked once more, at once."""
LAST = 0.05
"""The share of the lease that is given up: the child is dead by the time another worker may begin."""
WATCH_SECONDS = 0.1
ASK_AGAIN_SECONDS = 0.5


class FencedError(Exception):
    """This attempt holds the lease no more."""


class Lease:
    """Renews until it is stopped or refused.

    Two threads, so that a database that hangs cannot keep the watch from killing the child. The clock alone never ends
    an attempt: whoever finds the lease nearly over, after a sleep of the machine say, asks the database first. Its
    answer depends on the attempt's number, so that a cohort nobody took over goes on and one that was taken does not.

    Attributes:
        lost: the lease is another's now, or may be; nothing is to be written any more. Set before the child is killed:
            whoever sees its end sees why.
        taken: it is another's for certain.
        desired: what the last renewal heard.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        claim: Claim,
        child: Child,
        since: float,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.lost = threading.Event()
        self.taken = False
        self.desired = "run"
        self._database = database
        self._claim = claim
        self._child = child
        self._telemetry = telemetry or Telemetry()
        self._ttl = settings.lease_seconds
        self._every = settings.heartbeat_seconds
        self._renewed_at = since
        self._ended = threading.Event()
        self._asked = threading.Event()
        self._threads = [
            _thread(self._renew, "lease"),
            _thread(self._watch, "lease-watch"),
        ]

    def start(self) -> None:
        """Begin to renew and to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Renew no more; returns at once."""
        self._ended.set()
        self._asked.set()

    def touched(self, at: float) -> None:
        """A commit sent at `at` has prolonged the lease too."""
        self._renewed_at = max(self._renewed_at, at)

    @property
    def doubtful(self) -> bool:
        """Whether so much time has passed since the last success that another worker may soon take over."""
        return boottime() > self._renewed_at + self._ttl * (1 - MARGIN)

    def _renew(self) -> None:
        while True:
            self._asked.wait(self._every)
            self._asked.clear()
            if self._ended.is_set():
                return
            sent = boottime()
            try:
                with self._database.write_lease() as session:
                    desired = renew(session, self._claim.cohort_id, self._claim.attempt, self._ttl)
            except Exception as error:  # noqa: BLE001 - whatever ails the database: the watch decides, not we
                log.warning("lease_not_renewed", error=type(error).__name__)
                self._telemetry.renewals.labels("unanswered").inc()
                continue
            if desired is None:
                # Also true once the attempt has ended in order: then the supervisor has stopped us before.
                if not self._ended.is_set():
                    self.taken = True
                    self._telemetry.renewals.labels("refused").inc()
                    self._fence("the lease was taken")
                return
            self._telemetry.renewals.labels("renewed").inc()
            self.touched(sent)
            self.desired = desired

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            if self.doubtful and not self._reassured():
                self._fence("the lease could not be renewed in time")
                return

    def _reassured(self) -> bool:
        """Ask the database at once; false when it has not answered in what time is left."""
        noticed = boottime()
        over = self._renewed_at + self._ttl
        # One that wakes when all is over has no time left to lose: the answer is worth waiting for, as long as a lease.
        end = noticed + self._ttl if noticed > over else over - self._ttl * LAST
        ask = noticed
        while (now := boottime()) < end:
            if now >= ask:
                ask = now + ASK_AGAIN_SECONDS
                self._asked.set()
            if self._ended.wait(WATCH_SECONDS / 2) or self.lost.is_set() or not self.doubtful:
                return True
        return False

    def _fence(self, why: str) -> None:
        self.lost.set()
        self._child.kill()
        self._telemetry.fences.labels("taken" if self.taken else "late").inc()
        log.warning("fenced", why=why)


def _thread(work: Callable[[], None], name: str) -> threading.Thread:
    """A thread whose lines in the log carry the same ids as those of the one that makes it."""
    return threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
