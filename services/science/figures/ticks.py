"""Ticks of a logarithmic axis: few enough to be read, and always at least two."""

import math

import numpy as np

MOST_TICKS = 7
PLAIN = ".6~g"
"""Format of numbers on an axis: up to six digits, trailing zeros left out. Without the precision Vega would choose one
from the step between ticks, and its rounding can take a digit too many: -0.12 becomes "-0.1".
"""


def log_format(low: float, high: float) -> str:
    """How the ticks between two ends are written: as powers of ten where they are far from 1."""
    return ".0e" if low < 1e-3 or high > 1e4 else PLAIN


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends: powers of ten, or 1, 2 and 5 times them where the axis is short.

    Args:
        low: lower end, above zero.
        high: upper end, above `low`.
    """
    decades = np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [float(f"{step * 10.0**decade:.3g}") for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= MOST_TICKS:
            return inside if len(inside) > 1 else [float(f"{low:.3g}"), float(f"{high:.3g}")]
    return inside[:: -(-len(inside) // MOST_TICKS)]
