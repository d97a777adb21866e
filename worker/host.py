"""The composition root of a worker process: slots, maintenance and the Celery listener, and their orderly end."""

import os
import threading
import time
from collections.abc import Sequence

import structlog
from sqlalchemy.orm import Session

from services.cohorts import workers
from services.cohorts.turns import waiting
from services.db.base import new_id
from services.db.database import Database
from services.queue import CeleryDoorbell, make_app
from services.settings import Settings
from services.traces import Traces
from worker.bell import Bell
from worker.calibration import COMMAND as PROBE
from worker.calibration import Calibration
from worker.child import COMMAND
from worker.counting import Counting
from worker.devices import Devices
from worker.identity import identity
from worker.listener import Listener
from worker.maintenance import Maintenance
from worker.slot import Slot
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)

JOIN_SECONDS = 40.0
"""For all slots together: a container is given sixty seconds, and on a busy machine a drain may want them."""


class Host:
    """One worker process. Started, it works until it is drained."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: Sequence[str] = COMMAND,
        probe: Sequence[str] = PROBE,
        listen: bool = True,
        traces: Traces | None = None,
    ) -> None:
        self.worker_id = new_id("wrk")
        self.database = Database(settings, application="firstlight-worker")
        self._settings = settings
        self._bell = Bell()
        self._devices = Devices(settings)
        self._draining = threading.Event()
        self._doorbell = CeleryDoorbell(settings)
        self._identity = identity(os.getpid())
        self._telemetry = Telemetry()
        self._counting = Counting(settings, self._telemetry)
        self._traces = traces or Traces()
        self._slots = [
            Slot(
                number,
                self.worker_id,
                self.database,
                settings,
                self._bell,
                command=command,
                devices=self._devices,
                more_work=self._wake_another,
                telemetry=self._telemetry,
                traces=self._traces,
            )
            for number in range(settings.slots)
        ]
        self._maintenance = Maintenance(
            self.worker_id,
            self._identity,
            self.database,
            settings,
            self._bell,
            devices=self._devices,
            register=self._register,
            draining=self._draining.is_set,
            working=lambda: all(slot.is_alive() for slot in self._slots),
            held=lambda: [held for slot in self._slots if (held := slot.held) is not None],
            telemetry=self._telemetry,
            show=self._counting.write,
        )
        self._calibration = Calibration(self.worker_id, self.database, settings, self._idle, command=probe)
        self._listener = Listener(make_app(settings, publisher=False), self._bell, self.worker_id) if listen else None

    def start(self) -> None:
        """Register, take over from dead neighbours, and begin; nothing here waits for the broker."""
        self.database.transact(self._register)
        self._counting.start()
        self._maintenance.reap_neighbours()
        for slot in self._slots:
            slot.start()
        self._maintenance.start()
        if self._settings.calibrate and self._slots:
            self._calibration.start()
        if self._listener is not None:
            self._listener.start()
        log.info("worker_ready", slots=len(self._slots))

    def drain(self, *, hurry: bool = False) -> None:
        """Take no more work and give back what is running; returns at once."""
        self._draining.set()
        self._calibration.stop()
        for slot in self._slots:
            slot.drain(hurry=hurry)
        if self._listener is not None:
            self._listener.stop()
        self._bell.ring()

    def join(self) -> bool:
        """Wait for the slots, take the worker off the list and close; true when every slot ended in time."""
        end = time.monotonic() + JOIN_SECONDS
        for slot in self._slots:
            slot.join(max(0.0, end - time.monotonic()))
        self._maintenance.stop()
        self._maintenance.join(JOIN_SECONDS)
        if self._calibration.ident is not None:
            self._calibration.join(JOIN_SECONDS)
        self._counting.close()
        self._traces.close()
        in_time = not any(slot.is_alive() for slot in self._slots)
        if in_time:
            self.database.transact(lambda session: workers.forget(session, self.worker_id))
            with self.database.read() as session:
                if waiting(session):
                    self._doorbell.ring()  # what was given back may be another worker's at once
        self._doorbell.close(patience=0.5)
        self.database.dispose()
        return in_time

    def _register(self, session: Session) -> None:
        device = " ".join(self._devices.usable)
        workers.register(session, self.worker_id, self._identity, self._settings.slots, device)

    def _idle(self) -> bool:
        return all(slot.idle for slot in self._slots)

    def _wake_another(self) -> None:
        """More work waits than this worker has idle slots for."""
        if all(slot.busy for slot in self._slots):
            self._doorbell.ring()
