"""The doorbell: after a commit, wake a worker. The message carries nothing, so it may be lost, doubled or forged.

Ringing never blocks, never fails and is not counted: a hundred rings before the publisher gets to work are one message.
"""

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from services.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

log = structlog.get_logger(__name__)

TASK = "firstlight.wake"
QUEUE = "firstlight"
KEY_PREFIX = "firstlight:"
PUBLISH_SECONDS = 1.0
BREAK_SECONDS = (1.0, 30.0)
"""The publisher rests after a failure: at first, and at most."""
POLLING_SECONDS = 0.1


class Doorbell(Protocol):
    """What a writer rings after its commit."""

    def ring(self) -> None:
        """Ask for a worker's attention; returns at once."""
        ...

    def close(self) -> None:
        """Ring no more."""
        ...

    @property
    def healthy(self) -> bool | None:
        """Whether the last message went out; None before the first."""
        ...


class SilentDoorbell:
    """Rings nowhere: the sweep finds the work within its period."""

    healthy: bool | None = None

    def ring(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class CeleryDoorbell:
    """Publishes the wake task from a thread of its own.

    After a failure the circuit is open for a while, longer each time: rings are dropped, and the sweep finds the work.
    """

    healthy: bool | None = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: Celery | None = None
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """See `Doorbell.ring`."""
        self._idle.clear()
        self._wanted.set()
        if self._thread is None and not self._closed:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                    self._thread.start()

    def close(self, patience: float = 0.0) -> None:
        """Stop the thread; a ring that has not gone out after `patience` seconds is dropped."""
        if patience > 0 and self.healthy is not False:
            self._idle.wait(patience)
        self._closed = True
        self._wanted.set()  # the thread ends by itself; it may sit in a connection attempt, and nothing waits for it

    def _run(self) -> None:
        rest = BREAK_SECONDS[0]
        while True:
            self._wanted.wait()
            if self._closed:
                return
            # Before the message, not after: a ring during the publication belongs to a commit its reader may not see.
            self._wanted.clear()
            try:
                self._publish()
            except Exception as error:  # noqa: BLE001 - whatever ails the broker, the work is in the database
                self.healthy = False
                log.warning("doorbell_failed", error=type(error).__name__, rest_seconds=rest)
                end = time.monotonic() + rest
                while not self._closed and time.monotonic() < end:
                    time.sleep(0.05)
                rest = min(2 * rest, BREAK_SECONDS[1])
                self._wanted.clear()
            else:
                self.healthy = True
                rest = BREAK_SECONDS[0]
                if not self._wanted.is_set():
                    self._idle.set()

    def _publish(self) -> None:
        if self._app is None:
            self._app = make_app(self._settings, publisher=True)
        self._app.send_task(TASK, queue=QUEUE, retry=False, ignore_result=True)


def make_app(settings: Settings, *, publisher: bool) -> "Celery":
    """A Celery application on the broker of the settings, as a publisher (1 s timeouts) or for a worker.

    JSON only, early acknowledgement, no results, no remote control: the database decides, Celery wakes.
    """
    # Celery takes a third of a second to import; an API process needs it only once it rings.
    from celery import Celery  # noqa: PLC0415

    redis = settings.broker.startswith(("redis", "rediss"))
    # Kombu complains of a URL without a host, even where a host has no meaning.
    url = "filesystem://localhost/" if settings.broker == "filesystem://" else settings.broker
    # Without fixups: for a shell with Django's settings in it Celery would import from the current folder.
    app = Celery("firstlight", broker=url, set_as_current=not publisher, fixups=[])
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_default_queue=QUEUE,
        task_publish_retry=False,
        worker_pool="threads",
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=redis,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_timeout=PUBLISH_SECONDS if publisher else 4.0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport(settings, redis=redis, publisher=publisher),
    )
    if not publisher:
        # A task runs in a thread that no application is current in. Without a default Celery would make one there, with
        # the settings of any `celeryconfig.py` in the current folder.
        app.set_default()
    return app


def _transport(settings: Settings, *, redis: bool, publisher: bool) -> dict[str, Any]:
    if settings.broker.startswith("filesystem"):
        from services import broker_folder  # noqa: PLC0415 - imports kombu, see above

        broker_folder.install()
        return broker_folder.options(settings.home / "broker", POLLING_SECONDS)
    if not redis:
        return {}
    shared = {"global_keyprefix": KEY_PREFIX, "socket_keepalive": True}
    if publisher:
        return {
            **shared,
            "socket_timeout": PUBLISH_SECONDS,
            "socket_connect_timeout": PUBLISH_SECONDS,
            "max_retries": 1,
        }
    return {**shared, "socket_timeout": 30.0, "socket_connect_timeout": 3.0, "health_check_interval": 10}
