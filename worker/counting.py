"""What a worker has counted, where others find it: in its file of the home folder, and at a port if one is set."""

import structlog

from services.measurements import Place
from services.settings import Settings
from worker.measurements_port import MeasurementsPort
from worker.telemetry import Telemetry

log = structlog.get_logger(__name__)


class Counting:
    """Shows a worker's telemetry. What goes wrong with that costs a line of the log and no work."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._place: Place | None = None
        self._port: MeasurementsPort | None = None
        self._silent = False

    def start(self) -> None:
        """Take a place for the file, and open the port."""
        self._port = MeasurementsPort(self._settings, self._telemetry.registry)
        try:
            self._place = Place(self._settings.home, self._telemetry.registry)
        except OSError as error:
            self._complain(error)

    def write(self) -> None:
        """Bring the file up to date."""
        if self._place is None:
            return
        try:
            self._place.write()
            self._silent = False
        except OSError as error:
            self._complain(error)

    def close(self) -> None:
        """Write for the last time, and leave the place to the next worker."""
        self.write()
        if self._place is not None:
            self._place.close()
            self._place = None
        if self._port is not None:
            self._port.close()

    def _complain(self, error: OSError) -> None:
        if not self._silent:
            log.warning("measurements_not_kept", error=error.strerror or str(error))
        self._silent = True
