"""Fault points for tests: places in API, worker and child where a test can make the process die, raise or hang.

``FIRSTLIGHT_FAULT`` holds one or more faults separated by ``;``, each ``point[:name=value...]:action``, such as
``child.before_epoch:epoch=3:kill``. It is honoured only when ``FIRSTLIGHT_TESTING=1``. With ``once=PATH`` a fault
fires only if that file does not exist yet, and creates it. ``kill_parent`` ends the process that started this one.
"""

import os
import signal
import time
from functools import lru_cache
from pathlib import Path

ACTIONS = ("kill", "kill_parent", "stop", "raise", "oom", "hang", "exit")


class InjectedFaultError(RuntimeError):
    """Raised by the action ``raise``."""


def point(name: str, **context: int) -> None:
    """Fire the faults set for this point whose conditions all hold."""
    for place, conditions, action in planned():
        if place != name:
            continue
        once = dict(conditions).get("once")
        required = {key: value for key, value in conditions if key != "once"}
        if any(str(context.get(key)) != value for key, value in required.items()) or not _first_time(once):
            continue
        _act(action, name)


@lru_cache(maxsize=1)
def planned() -> tuple[tuple[str, tuple[tuple[str, str], ...], str], ...]:
    """The faults set by the environment: (point, conditions, action)."""
    text = os.environ.get("FIRSTLIGHT_FAULT", "")
    if os.environ.get("FIRSTLIGHT_TESTING") != "1" or not text:
        return ()
    faults: list[tuple[str, tuple[tuple[str, str], ...], str]] = []
    for fault in text.split(";"):
        place, *conditions, action = fault.strip().split(":")
        if action not in ACTIONS:
            raise ValueError(
                f"FIRSTLIGHT_FAULT: unknown action {action!r} in {fault!r}; use one of {', '.join(ACTIONS)}"
            )
        pairs: list[tuple[str, str]] = []
        for condition in conditions:
            key, _, value = condition.partition("=")
            pairs.append((key, value))
        faults.append((place, tuple(pairs), action))
    return tuple(faults)


def _first_time(path: str | None) -> bool:
    if path is None:
        return True
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(action: str, name: str) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill_parent":
            os.kill(os.getppid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise InjectedFaultError(f"a test asked for a failure at {name}")
        case "oom":
            raise MemoryError(f"a test asked for exhausted memory at {name}")
        case "exit":
            os._exit(7)
        case _:
            while True:
                time.sleep(3600.0)
