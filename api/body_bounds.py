"""Posted JSON is counted before anything is made of it: entries of lists, fields of objects, values in all, depth."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.errors import FieldProblem, InvalidInputError

MOST_ENTRIES = 10_001
"""Of a list: one for each epoch that an experiment can have, and the untrained network."""
MOST_FIELDS = 100
"""Of an object: several times what any of ours has."""
MOST_VALUES = 60_000
"""In all: twice what a thousand arms take that name every parameter."""
MOST_DEPTH = 30
MOST_NAME = 200
"""Characters of a field's name."""


def check_bounds(body: Any) -> None:
    """Refuse a body that is larger than any that could be valid.

    Raises:
        InvalidInputError: names the first place that is too large, how large it is, and what is allowed.
    """
    values = 0
    # Each with its way from the root: (its own step, that of its parent).
    waiting: list[tuple[Any, Any, int]] = [(body, None, 0)]
    while waiting:
        here, way, depth = waiting.pop()
        if not isinstance(here, Mapping | list):
            continue
        fields = isinstance(here, Mapping)
        most, what = (MOST_FIELDS, "fields") if fields else (MOST_ENTRIES, "entries")
        if len(here) > most:
            raise _too_large(way, f"has {len(here)} {what}; at most {most} are allowed")
        values += len(here)
        if values > MOST_VALUES:
            raise _too_large(None, f"holds more than {MOST_VALUES} values")
        if depth >= MOST_DEPTH:
            raise _too_large(way, f"is nested deeper than {MOST_DEPTH}")
        for step, value in steps_of(here):
            if fields and len(step) > MOST_NAME:
                raise _too_large(way, f"has a field with a name of {len(step)} characters; at most {MOST_NAME}")
            if isinstance(value, Mapping | list):
                waiting.append((value, (step, way), depth + 1))


def steps_of(here: Any) -> Iterator[tuple[Any, Any]]:
    """The fields of an object or the entries of a list, each with its step."""
    return iter(here.items()) if isinstance(here, Mapping) else enumerate(here)


def _too_large(way: Any, message: str) -> InvalidInputError:
    pointer = pointer_of(way)
    return InvalidInputError(f"{pointer or 'the body'}: {message}", [FieldProblem(pointer, message)])


def pointer_of(way: Any) -> str:
    """The RFC 6901 pointer of a way: pairs of a step and the way before it."""
    steps: list[str] = []
    while way is not None:
        step, way = way
        steps.append(str(step)[:MOST_NAME].replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in reversed(steps))
