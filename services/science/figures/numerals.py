"""Numbers as a reader wants them: as many digits as the interval allows."""

import math


def with_halfwidth(mean: float, halfwidth: float | None) -> tuple[str, str]:
    """Round a half-width to two significant digits and its mean to the same place.

    Returns:
        The two texts; the second is empty where there is no half-width.
    """
    if halfwidth is None:
        return significant(mean, 4), ""
    if halfwidth <= 0 or not math.isfinite(halfwidth):
        return significant(mean, 4), "±0"
    places = 1 - math.floor(math.log10(halfwidth))
    if max(abs(mean), halfwidth) >= 1e5 or places > 6:
        return significant(mean, 4), f"±{halfwidth:.1e}"
    return f"{mean:.{max(places, 0)}f}", f"±{halfwidth:.{max(places, 0)}f}"


def significant(value: float, digits: int) -> str:
    """`value` with so many significant digits, plain where that is short."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"
