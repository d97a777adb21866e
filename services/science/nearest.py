"""The legal name that a wrong one was probably meant to be."""

import difflib
from collections.abc import Sequence
from itertools import islice

MOST_LETTERS = 64
"""Of a name that is looked for: no legal one is longer, and the search takes the square of it."""
MOST_NAMES = 200


def nearest(name: str, legal: Sequence[str]) -> str | None:
    """The legal name that looks most like `name`, if any does; one of the first `MOST_NAMES`."""
    if len(name) > MOST_LETTERS:
        return None
    close = difflib.get_close_matches(name.lower(), list(islice(legal, MOST_NAMES)), n=1, cutoff=0.6)
    return close[0] if close else None
