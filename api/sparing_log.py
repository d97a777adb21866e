"""Log lines that strangers can cause: so many a minute and no more, and the next one says how many were left out."""

import time
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
MOST_LINES = 30
"""Of one event in one window."""


class SparingLog:
    """Counts lines by event; not for events whose names come from outside."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}
        self._left_out: dict[str, int] = {}

    def line(self, event: str, **fields: Any) -> None:
        """Write the event as a warning, or count it when there were too many lately."""
        now = self._clock()
        began, written = self._windows.get(event, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, written = now, 0
        self._windows[event] = (began, written + 1)
        if written >= MOST_LINES:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        left_out = self._left_out.pop(event, 0)
        log.warning(event, **fields, **({"left_out_before": left_out} if left_out else {}))


sparing = SparingLog()
"""That of this process."""
