"""A port from which Prometheus reads what this one worker has counted, where the settings name one."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from services.measurements import exposition
from services.settings import Settings

log = structlog.get_logger(__name__)

READ_SECONDS = 5.0
"""How long one that connects may take to ask. Requests are answered one after the other: there are few who ask."""


class _Handler(BaseHTTPRequestHandler):
    timeout = READ_SECONDS
    registry: CollectorRegistry

    def do_GET(self) -> None:
        content, media = exposition(self.registry, self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: one who asks every few seconds is no news."""


class _Server(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """Whatever it was, the next one is answered."""
        log.warning("metrics_not_sent", error=type(sys.exception()).__name__)


class MeasurementsPort:
    """Serves until it is closed.

    Attributes:
        port: in use; None where none is set, or where it cannot be had, which costs nobody any work.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._server: HTTPServer | None = None
        self.port: int | None = None
        if settings.metrics_port is None:
            return
        place = (settings.metrics_host, settings.metrics_port)
        handler = type("_Handler", (_Handler,), {"registry": registry})
        try:
            self._server = _Server(place, handler)
        except OSError as error:
            log.warning("metrics_port_not_served", host=place[0], port=place[1], error=error.strerror or str(error))
            return
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics-port", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
