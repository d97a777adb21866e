"""`python -m worker [--slots N]`: work until SIGTERM or SIGINT, then give everything back and exit 0.

A second signal leaves the children no time for a last checkpoint.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from services import log
from services.cohorts.workers import alive
from services.db.engine import Database
from services.settings import Settings, get_settings
from worker.child import COMMAND
from worker.host import Host


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = COMMAND) -> int:
    """Run a worker in this process; `command` is the child's."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="Train queued cohorts.")
    parser.add_argument("--slots", type=int, help="cohorts trained at once (default: FIRSTLIGHT_SLOTS, or 1)")
    parser.add_argument("--check", action="store_true", help="exit 0 if a worker of this host is alive, else 1")
    given = parser.parse_args(arguments)
    settings = get_settings()
    if given.check:
        return check(settings)
    if given.slots is not None:
        settings = Settings.model_validate({**settings.model_dump(), "slots": given.slots})
    log.configure(settings)
    host = Host(settings, command=command)
    signals = 0
    asked = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if settings.embedded:
        host.database.upgrade()
    elif (problem := host.database.schema_problem()) is not None:
        sys.exit(problem)
    host.start()
    asked.wait()
    host.drain()
    joined = threading.Event()
    outcome: list[bool] = []

    def join() -> None:
        outcome.append(host.join())
        joined.set()

    threading.Thread(target=join, daemon=True).start()
    while not joined.wait(0.05):
        if signals > 1:
            host.drain(hurry=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # The Celery consumer may sit in a connection attempt for seconds; it holds nothing worth waiting for.
    os._exit(0 if outcome and outcome[0] else 1)


def check(settings: Settings) -> int:
    """Whether a worker of this host has swept and beaten lately: a container's health check."""
    database = Database(settings, application="firstlight-check")
    with database.read() as session:
        found = alive(session, host=socket.gethostname())
    database.dispose()
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
