"""Colours and dashes that stay apart for colour-blind readers and in a black-and-white print.

The hues are Okabe and Ito's (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/; their yellow is left
out because a yellow line vanishes on white, and their black is the theme's ink so that it also shows on a dark page.
"""

from collections.abc import Sequence

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
YELLOW = "#F0E442"

HUES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 3), (9, 3, 2, 3), (14, 4))

SEQUENTIAL = "cividis"
"""Scale of heat maps: even in lightness for every kind of colour vision (Nunez, Anderton & Renslow 2018)."""


def colours(count: int, ink: str) -> list[str]:
    """One colour per series: the hues and the ink in turn."""
    cycle = (*HUES, ink)
    return [cycle[i % len(cycle)] for i in range(count)]


def dashes(count: int, *, always: bool = False) -> list[list[int]]:
    """One dash per series. It changes with every series beyond the first four, and with every turn of the hues.

    Four lines or fewer are told apart by hue alone and stay solid, unless `always`; more carry a second sign.
    """
    if count <= 4 and not always:
        return [list(DASHES[0])] * count
    turn = len(HUES) + 1
    return [list(DASHES[(i + i // turn) % len(DASHES)]) for i in range(count)]


def scale(domain: Sequence[str], ink: str) -> dict[str, object]:
    """The colour scale of these series, in this order."""
    return {"domain": list(domain), "range": colours(len(domain), ink)}


def dash_scale(domain: Sequence[str], *, always: bool = False) -> dict[str, object]:
    """The dash scale that goes with `scale`."""
    return {"domain": list(domain), "range": dashes(len(domain), always=always)}
