"""Epoch rows of many trials: chosen by trial, arm and epoch, thinned on request, page by page or as one table."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import TrialRow
from services.errors import FieldProblem, InvalidInputError
from services.trials.downsampling import keep
from services.trials.rows import COLUMNS, TrialColumns, read_rows

AT_ONCE = 64
"""Trials read together: a bounded part of a large answer."""
THIN_BY = "val_loss"
METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Selection:
    """Which rows: of these trials, of arms with these labels, of these epochs, at most so many of each trial."""

    trials: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    epoch_from: int | None = None
    epoch_to: int | None = None
    points: int | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """A trial whose rows are wanted."""

    id: str
    position: int
    label: str
    seed: int


@dataclass(frozen=True)
class Part:
    """The chosen rows of one trial. `of` is how many there were before thinning."""

    member: Member
    epochs: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    of: int


def epoch_rows(session: Session, trial_ids: Sequence[str], epoch_from: int, epoch_to: int) -> list[dict[str, Any]]:
    """The rows of these trials and epochs as dictionaries, trial by trial; a number that is not finite is None."""
    by_trial = read_rows(session, trial_ids, epoch_from, epoch_to)
    return [
        row for columns in by_trial.values() for row in _dictionaries(columns.trial_id, columns.epochs, columns.metrics)
    ]


def members(session: Session, experiment_id: str, selection: Selection) -> list[Member]:
    """The selected trials in the order of the grid.

    Raises:
        InvalidInputError: a trial or an arm that the experiment does not have, or a name that is no metric's.
    """
    for name in selection.metrics:
        if not METRIC.fullmatch(name):
            raise _unknown("metric", name, f"should be a metric such as {', '.join(COLUMNS[:-1])}")
    query = select(TrialRow.id, TrialRow.position, TrialRow.label, TrialRow.seed).where(
        TrialRow.experiment_id == experiment_id
    )
    every = [Member(*row) for row in session.execute(query.order_by(TrialRow.position))]
    _check("trial", selection.trials, {member.id for member in every}, "is no trial of this experiment")
    _check("arm", selection.arms, {member.label for member in every}, "is no arm of this experiment")
    return [
        member
        for member in every
        if (not selection.trials or member.id in selection.trials)
        and (not selection.arms or member.label in selection.arms)
    ]


def parts(session: Session, trials: Sequence[Member], selection: Selection) -> Iterator[Part]:
    """The rows of one trial after another; trials without any are left out."""
    metrics = selection.metrics or None
    read = metrics if metrics is None or THIN_BY in metrics or selection.points is None else (*metrics, THIN_BY)
    for start in range(0, len(trials), AT_ONCE):
        some = {member.id: member for member in trials[start : start + AT_ONCE]}
        by_trial = read_rows(session, list(some), selection.epoch_from, selection.epoch_to, read)
        for trial_id, columns in by_trial.items():
            yield _part(some[trial_id], columns, selection, metrics)


def page(
    session: Session, trials: Sequence[Member], selection: Selection, limit: int, after: tuple[int, int] | None
) -> tuple[list[dict[str, Any]], tuple[int, int] | None, int]:
    """One page of rows, by grid position and then epoch.

    Args:
        session: any session.
        trials: from `members`.
        selection: which rows.
        limit: most rows of the page.
        after: position and epoch of the last row of the page before.

    Returns:
        The rows; the place of the last one when more may follow; rows of these trials before thinning.
    """
    rows: list[dict[str, Any]] = []
    place: tuple[int, int] | None = None
    of = 0
    rest = [member for member in trials if after is None or member.position >= after[0]]
    for part in parts(session, rest, selection):
        if len(rows) >= limit:
            return rows, place, of
        continues = after is not None and part.member.position == after[0]
        begin = int(np.searchsorted(part.epochs, after[1], "right")) if after is not None and continues else 0
        chosen = slice(begin, begin + limit - len(rows))
        epochs = part.epochs[chosen]
        of += part.of
        if not epochs.size:
            continue
        rows += _dictionaries(part.member.id, epochs, {name: values[chosen] for name, values in part.metrics.items()})
        place = (part.member.position, int(epochs[-1]))
        if begin + epochs.size < part.epochs.size:
            return rows, place, of
    return rows, None, of


def ordered(names: Collection[str]) -> list[str]:
    """The metrics in the order in which they are shown: those every row has a column for, then the others."""
    return [name for name in COLUMNS if name in names] + sorted(set(names) - set(COLUMNS))


def _part(member: Member, columns: TrialColumns, selection: Selection, names: tuple[str, ...] | None) -> Part:
    metrics = columns.metrics
    if selection.points is not None and columns.epochs.size > selection.points:
        guide = metrics.get(THIN_BY, np.zeros(columns.epochs.size))
        places = keep(guide, selection.points)
        metrics = {name: values[places] for name, values in metrics.items()}
        epochs = columns.epochs[places]
    else:
        epochs = columns.epochs
    if names is not None:
        metrics = {name: values for name, values in metrics.items() if name in names}
    return Part(member, epochs, metrics, columns.epochs.size)


def _dictionaries(
    trial_id: str, epochs: NDArray[np.int64], metrics: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    names = ordered(metrics)
    columns = [[None if value != value else value for value in metrics[name].tolist()] for name in names]  # noqa: PLR0124
    return [
        {"trial_id": trial_id, "epoch": epoch, **dict(zip(names, values, strict=True))}
        for epoch, *values in zip(epochs.tolist(), *columns, strict=True)
    ]


def _check(name: str, chosen: Sequence[str], present: set[str], message: str) -> None:
    for value in chosen:
        if value not in present:
            raise _unknown(name, value, message)


def _unknown(name: str, value: str, message: str) -> InvalidInputError:
    text = f"{value[:60]!r} {message}"
    return InvalidInputError(f"{name}: {text}", [FieldProblem(name, text)])
