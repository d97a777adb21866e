"""Celery's part: a consumer in a thread of its own whose only task rings the bell.

It is started and restarted apart from the slots, which do not depend on it: with the broker away from the start, or
with a consumer that died, work is found by the sweep.
"""

import threading
import time

import structlog
from celery import Celery
from celery.worker import WorkController
from celery.worker import state as consumer_state

from services.queue import QUEUE, TASK
from worker.bell import Bell

log = structlog.get_logger(__name__)

RESTART_SECONDS = 2.0


class Listener(threading.Thread):
    """Hosts the Celery consumer."""

    def __init__(self, app: Celery, bell: Bell, name: str) -> None:
        super().__init__(name="listener", daemon=True)
        self._app = app
        self._hostname = f"{name}@firstlight"
        self._stopping = False
        app.task(name=TASK, ignore_result=True)(bell.ring)

    def run(self) -> None:
        """Consume, and start again when the consumer ends by itself."""
        while not self._stopping:
            try:
                WorkController(
                    app=self._app,
                    hostname=self._hostname,
                    pool_cls="threads",
                    concurrency=1,
                    queues=[QUEUE],
                    without_gossip=True,
                    without_mingle=True,
                    without_heartbeat=True,
                ).start()
            except Exception as error:  # noqa: BLE001 - a broken consumer is started again
                log.warning("listener_failed", error=f"{type(error).__name__}: {error}"[:300])
            if not self._stopping:
                time.sleep(RESTART_SECONDS)

    def stop(self) -> None:
        """Ask the consumer to end; nobody needs to wait for it, for it holds nothing."""
        self._stopping = True
        consumer_state.should_stop = 0
