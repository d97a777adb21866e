"""``python -m api --host H --port P``: one process that answers requests."""

import argparse
import ipaddress
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.connection_guard import Limits, guarded
from api.event_hub import Hub
from services import log
from services.db.database import Database
from services.db.unusable import UnusableDatabaseError
from services.settings import Settings, get_settings

GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """A server that ends its event streams first: otherwise they would hold up every stop."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT and SIGTERM."""
        self._hub.close()
        super().handle_exit(sig, frame)


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Serve the HTTP interface.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args(arguments)
    settings = get_settings()
    log.configure(settings)
    refusal = refuse_open_bind(options.host, settings)
    if refusal:
        sys.stderr.write(f"{refusal}\n")
        return 2
    database = Database(settings, application="firstlight-api")
    if settings.embedded:
        try:
            database.upgrade()
        except UnusableDatabaseError as error:
            sys.exit(str(error))
    app = create_app(settings, database=database)
    config = configuration(app, options.host, options.port)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn drains and then raises the signal again for whoever listened before it: an orderly stop is a success.
        signal.signal(number, _leave)
    Server(config, app.state.context.hub).run()
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def configuration(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves: uvloop and httptools pinned, for without uvloop keep-alive answers can stall 44 ms."""
    settings: Settings = app.state.context.settings
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=guarded(Limits(settings.header_seconds, settings.body_seconds, settings.max_connections)),
        ws="none",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def refuse_open_bind(host: str, settings: Settings) -> str | None:
    """Why this address must not be served, if so: beyond this machine only with keys."""
    if settings.api_keys or _is_loopback(host):
        return None
    return (
        f"refusing to serve {host} without keys: anybody who reaches it could use it. "
        "Set FIRSTLIGHT_API_KEYS (or FIRSTLIGHT_API_KEYS_FILE), or bind 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
