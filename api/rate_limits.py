"""How many requests a key may send, and an address where no key is asked for; counted by each process for itself."""

import math
import time
from typing import NamedTuple

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Allowance(NamedTuple):
    """What is left for whoever asks.

    Attributes:
        wait: seconds until the next request is taken; None when this one is.
        headers: what the answer says of it (draft-ietf-httpapi-ratelimit-headers-10).
    """

    wait: int | None
    headers: dict[str, str]


class RateLimits:
    """Counts requests; a window begins with the first one after the last window ended.

    Args:
        limit: such as ``600/minute``; empty for none.
    """

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit) if limit else None
        self._counter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, who: str) -> Allowance:
        """Count a request of `who`, a key or an address."""
        if self._limit is None:
            return Allowance(None, {})
        taken = self._counter.hit(self._limit, who)
        ends, left = self._counter.get_window_stats(self._limit, who)
        seconds = max(1, math.ceil(ends - time.time()))
        policy = f'"requests";q={self._limit.amount};w={self._limit.get_expiry()}'
        headers = {"RateLimit-Policy": policy, "RateLimit": f'"requests";r={max(0, left)};t={seconds}'}
        return Allowance(None if taken else seconds, headers)
