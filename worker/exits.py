"""From the way a child ended to a failure with a code: what it said last, or how it died."""

import signal
import time
from collections.abc import Callable

from services.cohorts.failure import Failure
from worker.child import Child

TAIL_SHOWN = 5
MEGABYTE = 1_000_000
STOP_SIGNALS = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
"""Ends that a child shares with its worker where a service manager signals the whole family at once."""
FAMILY_SECONDS = 1.0
"""How long after a child's end by such a signal the worker's own order to end may be noticed."""
LOOK_SECONDS = 0.025


def reported(message: dict[str, object]) -> Failure:
    """The failure a child named itself."""
    slot = message.get("slot")
    return Failure(
        str(message.get("code", "error")),
        str(message.get("detail", "the child did not say why")),
        slot if isinstance(slot, int) else None,
    )


def unexplained(child: Child, status: int) -> Failure:
    """The failure of a child that ended without a last message."""
    tail = " | ".join(list(child.tail)[-TAIL_SHOWN:])
    last_words = f"; its last words: {tail}" if tail else ""
    if status == -signal.SIGKILL and child.out_of_memory():
        return Failure("oom", "the kernel killed the process for want of memory")
    if status < 0:
        return Failure("crash", f"the process was ended by signal {-status} ({_name(-status)}){last_words}")
    if status > 0:
        return Failure("crash", f"the process exited with status {status}{last_words}")
    return Failure("crash", f"the process exited without saying it was done{last_words}")


def too_large(child: Child, most_mb: int | None) -> Failure | None:
    """The failure of a child that holds more memory than it may; None where it does not, or may hold any amount."""
    if most_mb is None or (seen := child.resident_bytes()) <= most_mb * MEGABYTE:
        return None
    detail = f"the process held {seen / MEGABYTE:,.0f} MB of memory and FIRSTLIGHT_CHILD_MEMORY_MB allows {most_mb:,}"
    return Failure("oom", detail)


def hung(seconds: float) -> Failure:
    """The failure of a child that was alive and did not move."""
    return Failure("hung", f"the process showed no progress for {seconds:g} s and was killed")


def with_worker(status: int, draining: Callable[[], bool]) -> bool:
    """Whether the child was ended by a signal that told its worker to end too."""
    end = time.monotonic() + FAMILY_SECONDS
    while status in STOP_SIGNALS and not draining() and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    return status in STOP_SIGNALS and draining()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
