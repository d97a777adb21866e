"""Runs the kernel while somebody watches: progress out, a wish to stop in."""

import ctypes
import threading
from collections.abc import Callable

Tick = Callable[[float], bool]
"""Called now and then with the share of the work that is done; true asks to stop."""

POLL_SECONDS = 0.02
"""Between two calls of `tick` while the kernel runs."""


def watched(work: Callable[[], int], tick: Tick | None, stop: ctypes.c_int32, share: Callable[[], float]) -> bool:
    """Run `work`, with `tick` called meanwhile; false when it was stopped."""
    if tick is None:
        status = work()
    else:
        if tick(0.0):
            return False
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(work()), name="native-cohort")
        thread.start()
        try:
            while True:
                thread.join(POLL_SECONDS)
                if not thread.is_alive():
                    break
                if tick(share()):
                    stop.value = 1
        except BaseException:
            stop.value = 1  # whoever watches has failed: nobody may find the kernel still at work
            thread.join()
            raise
        status = results[0]
    if status == 1:
        raise MemoryError("the kernel's buffers do not fit into memory")
    return status == 0
