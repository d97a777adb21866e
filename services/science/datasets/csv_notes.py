"""What a reader of results should know of an uploaded table: what was lost, and what looks wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.base import Task
from services.science.datasets.csv_columns import ColumnPlan
from services.science.datasets.csv_faults import listed

MOST_NOTES = 100
LONGEST_NOTE = 500
MOST_NAMES = 5


def bounded(notes: Sequence[str]) -> tuple[str, ...]:
    """At most `MOST_NOTES` notes of bounded length; the last says how many more there were."""
    cut = [note if len(note) <= LONGEST_NOTE else note[: LONGEST_NOTE - 1] + "…" for note in notes[:MOST_NOTES]]
    more = len(notes) - MOST_NOTES
    return (*cut, f"and {more} more notes that are not listed") if more > 0 else tuple(cut)


def costs_of_missing(costs: dict[str, int], rows: int, dropped: int, missing: str, target: str) -> list[str]:
    """What missing values cost, column by column."""
    notes: list[str] = []
    if dropped:
        what = "1 row with a missing value was" if dropped == 1 else f"{dropped} rows with a missing value were"
        notes.append(f"{what} dropped")
    for name, count in sorted(costs.items(), key=lambda item: -item[1]):
        share = f"{count} of {rows} values of {name!r} are missing ({100 * count / rows:.3g} %)"
        if name == target or missing in ("drop_row", "drop_column"):
            notes.append(f"{share}: their rows were dropped")
        else:
            notes.append(share)
    return notes


def target_notes(y: NDArray[np.intp], classes: Sequence[str], gone: Sequence[str], target: str) -> list[str]:
    """Classes that vanished, and classes of a single row."""
    notes: list[str] = []
    if gone:
        notes.append(
            f"{len(classes)} of {len(classes) + len(gone)} classes are left: {listed(list(gone), MOST_NAMES)} vanished "
            f"with the dropped rows"
        )
    counts = np.bincount(y, minlength=len(classes))
    single = [classes[place] for place in np.flatnonzero(counts == 1).tolist()]
    if single and len(single) == len(classes):
        notes.append(f"every row has a class of its own: {target!r} names the rows and cannot be learnt")
    elif single:
        verb = "class has" if len(single) == 1 else "classes have"
        notes.append(
            f"{len(single)} {verb} one row only, which trains or validates but never both: {listed(single, MOST_NAMES)}"
        )
    return notes


def worth_knowing(
    x: NDArray[np.float64],
    y: NDArray[np.generic],
    features: Sequence[str],
    plans: Sequence[tuple[ColumnPlan, int, dict[str, int]]],
    task: Task,
    target: str,
) -> list[str]:
    """Columns without information, columns that name the rows, and columns that hold the answer."""
    place = {name: at for at, name in enumerate(features)}
    constant: list[str] = []
    leaks: list[str] = []
    names_rows: list[str] = []
    for column, _, _ in plans:
        if column.kind == "text":
            levels = [place[f"{column.name}={level}"] for level in column.levels if f"{column.name}={level}" in place]
            if len(levels) == 1 and x[:, levels[0]].all():
                constant.append(column.name)
            values = x[:, levels].argmax(axis=1) if len(levels) > 1 else x[:, 0] * 0
            several = len(levels) == len(x)
        else:
            values = x[:, place[column.name]]
            if values.min() == values.max():
                constant.append(column.name)
            several = len(x) > 2 and column.tally.counts_up
        if several and column.name not in constant:
            names_rows.append(column.name)
        if _is_target(values, y, task):
            leaks.append(column.name)
    notes: list[str] = []
    if leaks:
        notes.append(
            f"{listed(leaks, MOST_NAMES)} tells the target {target!r} exactly, row by row: drop it unless meant"
        )
    if names_rows:
        notes.append(
            f"{listed(names_rows, MOST_NAMES)} holds another value in every row, as numbers or names of rows do"
        )
    if constant:
        notes.append(f"{listed(constant, MOST_NAMES)} holds the same value in every row")
    return notes


def _is_target(values: NDArray[np.generic], y: NDArray[np.generic], task: Task) -> bool:
    """Whether a column is the target itself, or for classes the same under other names."""
    if task == "regression" or len(y) < 2:
        return bool(np.array_equal(values, y)) and bool(np.any(y != y[0]))
    classes, where = np.unique(y, return_index=True)
    first = values[where]
    # Quick: a column that tells the class has one value for each class, and another for each other one.
    if len(np.unique(first)) < len(classes):
        return False
    return bool(np.array_equal(first[np.searchsorted(classes, y)], values))
