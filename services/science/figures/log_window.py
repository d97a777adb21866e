"""The ends of a logarithmic axis: the means with room for their intervals, but not for the longest ones in full."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

CUT = "An interval that reaches beyond the frame is cut there."
"""The sentence under a figure in which one had to be."""
SPREAD_RATIO = 40.0
"""Means that differ by more than this factor get a logarithmic axis, if the scale is left to us."""
ROOM = 0.3
"""Share of the means' own reach, in decades, that intervals may add at each end."""


def log_window(records: Sequence[Mapping[str, Any]], means: Sequence[str]) -> tuple[float, float]:
    """Where the axis begins and ends.

    Args:
        records: with `low` and `high`, None where there is no bound; a bound at or below zero has no place.
        means: names of the numbers that have to be seen, all of them above zero.
    """
    middle = np.array([record[name] for record in records for name in means], dtype=np.float64)
    lows = np.array([r["low"] for r in records if r["low"] is not None and r["low"] > 0], dtype=np.float64)
    highs = np.array([r["high"] for r in records if r["high"] is not None], dtype=np.float64)
    reach = max(middle.max() / middle.min(), 1.1)
    low = max(lows.min(initial=middle.min()), middle.min() / reach**ROOM) / 1.05
    return float(low), float(min(highs.max(initial=middle.max()), middle.max() * reach**ROOM) * 1.05)


def cut_to(values: Sequence[Mapping[str, Any]], low: float, high: float) -> tuple[list[dict[str, Any]], bool]:
    """The records with `low_drawn` and `high_drawn`, their bounds cut to the frame, and whether any had to be cut."""
    records = [dict(record) for record in values]
    cut = False
    for record in records:
        if record["low"] is not None and record["high"] is not None:
            record["low_drawn"] = min(max(float(record["low"]), low), high)
            record["high_drawn"] = max(min(float(record["high"]), high), low)
            cut |= record["low_drawn"] != record["low"] or record["high_drawn"] != record["high"]
    return records, cut
