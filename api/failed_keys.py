"""Wrong keys: counted by address, and after a while answered with 429 instead of 401.

A right key is never refused: those who share an address (that of a proxy) with somebody who guesses keep their access.
The keys of `make secrets` have 256 bits; what is bounded here is the noise.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

BUDGET = 20
"""Wrong keys from one address in one window."""
WINDOW_SECONDS = 60.0
MOST_ADDRESSES = 4_096
"""The address that was quiet for longest is forgotten."""


class FailedKeys:
    """A counter with a bound of its own: no number of addresses makes it grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, budget: int = BUDGET) -> None:
        self._clock = clock
        self._budget = budget
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> float | None:
        """Note a wrong key; return the seconds to wait once the budget is spent, else None."""
        now = self._clock()
        place = network(address)
        began, failures = self._windows.pop(place, (now, 0))
        if now - began >= WINDOW_SECONDS:
            began, failures = now, 0
        self._windows[place] = (began, failures + 1)
        while len(self._windows) > MOST_ADDRESSES:
            self._windows.popitem(last=False)
        return None if failures < self._budget else began + WINDOW_SECONDS - now


def network(address: str) -> str:
    """Who an address belongs to: one of IPv6 is one of the many of its network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
