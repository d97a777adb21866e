"""`python -m worker [--slots N]`: work until SIGTERM or SIGINT, then give everything back and exit 0.

A second signal leaves the children no time for a last checkpoint.
"""

import argparse
import os
import sys
import threading
from collections.abc import Sequence

from services import log
from services.artifacts.interface import StoreUnusableError
from services.db.unusable import UnusableDatabaseError
from services.heartbeat import check
from services.settings import Settings, get_settings
from services.traces import traces
from worker.calibration import COMMAND as PROBE
from worker.child import COMMAND
from worker.host import Host
from worker.stop_signals import StopSignals


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = COMMAND, probe: Sequence[str] = PROBE) -> int:
    """Run a worker in this process; `command` is the child's, `probe` that of what measures the machine."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="Train queued cohorts.")
    parser.add_argument("--slots", type=int, help="cohorts trained at once (default: FIRSTLIGHT_SLOTS, or 1)")
    parser.add_argument(
        "--check", action="store_true", help="exit 0 if a worker of this container or machine is alive, else 1"
    )
    options = parser.parse_args(arguments)
    if options.check:
        return check()
    settings = get_settings()
    if options.slots is not None:
        settings = Settings.model_validate({**settings.model_dump(), "slots": options.slots})
    log.configure(settings)
    try:
        host = Host(settings, command=command, probe=probe, traces=traces("firstlight-worker"))
    except StoreUnusableError as error:
        sys.exit(str(error))
    log.stamp(worker_id=host.worker_id)
    signals = StopSignals()
    if settings.embedded:
        try:
            host.database.upgrade()
        except UnusableDatabaseError as error:
            sys.exit(str(error))
    elif (problem := host.database.schema_problem()) is not None:
        sys.exit(problem)
    host.start()
    while signals.wait() == 0:
        pass
    host.drain()
    joined = threading.Event()
    outcome: list[bool] = []

    def join() -> None:
        try:
            outcome.append(host.join())
        finally:
            joined.set()  # with no outcome, an error: what could not be given back is settled by its lease

    threading.Thread(target=join, daemon=True).start()
    while not joined.is_set():
        if signals.wait(0.05) > 1:
            host.drain(hurry=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # The Celery consumer may sit in a connection attempt for seconds; it holds nothing worth waiting for.
    os._exit(0 if outcome and outcome[0] else 1)
