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
from services.accounts.first_key import make_first_key
from services.accounts.keys import any_key
from services.artifacts.interface import StoreUnusableError
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
    parser.add_argument(
        "--first-key",
        action="store_true",
        help="where a key is needed and there is none, make one and leave it in a file of the home folder",
    )
    options = parser.parse_args(arguments)
    settings = get_settings()
    log.configure(settings)
    refusal = refuse_open_bind(options.host, settings)
    if refusal and not options.first_key and settings.embedded and not settings.database_file.exists():
        sys.stderr.write(f"{refusal}\n")
        return 2
    database = Database(settings, application="firstlight-api")
    if settings.embedded:
        try:
            database.upgrade()
        except UnusableDatabaseError as error:
            sys.exit(str(error))
    if refusal and not _keys_are_stored(database, settings, make=options.first_key):
        sys.stderr.write(f"{refusal}\n")
        return 2
    try:
        app = create_app(settings, database=database)
    except StoreUnusableError as error:
        sys.exit(str(error))
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


def _keys_are_stored(database: Database, settings: Settings, *, make: bool) -> bool:
    """Whether a key is asked for although the settings name none; a first one is made if wished."""
    if make and (path := make_first_key(database, settings.home)) is not None:
        sys.stderr.write(
            f"made the first key of this service, of scope admin: it is in {path}, for its owner to read; a client "
            'sends it with FIRSTLIGHT_API_KEY="$(cat FILE)"\n'
        )
    with database.read() as session:
        return any_key(session)


def refuse_open_bind(host: str, settings: Settings) -> str | None:
    """Why this address must not be served, if so: beyond this machine only with keys."""
    if settings.api_keys or _is_loopback(host):
        return None
    return (
        f"refusing to serve {host} without keys: anybody who reaches it could use it. "
        "Set FIRSTLIGHT_API_KEYS (or FIRSTLIGHT_API_KEYS_FILE), make a key with --first-key, or bind 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
