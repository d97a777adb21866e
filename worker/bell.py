"""The bell inside one worker process: whoever hears of work rings it, and every idle slot wakes up."""

import threading


class Bell:
    """A condition with a count, so that a ring between looking for work and falling asleep is not missed."""

    def __init__(self) -> None:
        self._rings = 0
        self._news = threading.Condition()

    @property
    def rings(self) -> int:
        """How often it has rung; take it before looking for work."""
        return self._rings

    def ring(self) -> None:
        """Wake everybody."""
        with self._news:
            self._rings += 1
            self._news.notify_all()

    def wait(self, seen: int, timeout: float) -> None:
        """Return when it has rung since `seen`, or after `timeout` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._rings != seen, timeout)
