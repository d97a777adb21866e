"""How a worker hears SIGTERM and SIGINT: through a socket that any of its threads can write to.

A handler alone is not enough. The kernel may run the C half of it on whichever thread it finds first, and the Python
half waits for the main thread to execute something, which a main thread asleep in a lock does not: such a worker would
not hear that it is to end.
"""

import contextlib
import signal
import socket

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Counts the signals that ask this process to end. Make it in the main thread, once.

    Attributes:
        count: how many have been heard.
    """

    def __init__(self) -> None:
        self.count = 0
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in NUMBERS:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, timeout: float | None = None) -> int:
        """Return the count after the next signal, or after `timeout` seconds without one."""
        self._reader.settimeout(timeout)
        with contextlib.suppress(TimeoutError):
            self.count += sum(number in NUMBERS for number in self._reader.recv(64))
        return self.count
