"""Runs the kernel while somebody watches: progress out, a wish to stop in."""

import ctypes
import threading
from collections.abc import Callable

from services.training.native.structures import Control

Tick = Callable[[float], bool]
"""Called now and then with the share of the work that is done; true asks to stop."""

POLL_SECONDS = 0.02
"""Between two calls of `tick` while the kernel runs."""


class Watch:
    """A hold on work that the kernel's threads do.

    Args:
        library: the kernel.
        control: what the work was started with.
        rows: how many will be used in all; None where they are not counted.
    """

    def __init__(self, library: ctypes.CDLL, control: Control, rows: int | None = None) -> None:
        self._library, self._control, self._rows = library, ctypes.byref(control), rows

    def stop(self) -> None:
        """Ask the threads to end soon."""
        self._library.firstlight_stop(self._control)

    def share(self) -> float:
        """The share of the work that is done; 0 where it is not counted."""
        return self._library.firstlight_done(self._control) / self._rows if self._rows else 0.0


def watched(work: Callable[[], int], tick: Tick | None, watch: Watch) -> bool:
    """Run `work`, with `tick` called meanwhile; false when it was stopped."""
    if tick is None:
        status = work()
    else:
        if tick(watch.share()):
            return False
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(work()), name="native-cohort")
        thread.start()
        try:
            while True:
                thread.join(POLL_SECONDS)
                if not thread.is_alive():
                    break
                if tick(watch.share()):
                    watch.stop()
        except BaseException:
            watch.stop()  # whoever watches has failed: nobody may find the kernel still at work
            thread.join()
            raise
        status = results[0]
    if status == 1:
        raise MemoryError("the kernel's buffers do not fit into memory")
    return status == 0
