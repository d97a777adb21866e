"""Read the numbers of trials as columns, whether they are still rows or already packed into curves."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from services.db.tables import CurveRow, EpochRow

COLUMNS = (
    "train_loss",
    "val_loss",
    "train_accuracy",
    "val_accuracy",
    "val_mae",
    "val_rmse",
    "val_r2",
    "seconds",
)
"""The metrics every epoch row has a column for; others are in its `extra`."""
IDS_AT_ONCE = 400
Column = NDArray[np.float64]


@dataclass(frozen=True)
class TrialColumns:
    """One trial's numbers.

    Attributes:
        epochs: int64 `[n]`, rising; epoch 0 is the untrained network.
        metrics: float64 `[n]` by name; NaN stands for a number that is not finite or was not measured. A metric that
            the trial has at no epoch is left out.
    """

    trial_id: str
    epochs: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]


def read_rows(
    session: Session,
    trial_ids: Sequence[str],
    epoch_from: int | None = None,
    epoch_to: int | None = None,
    metrics: Sequence[str] | None = None,
) -> dict[str, TrialColumns]:
    """Read the epochs from `epoch_from` to `epoch_to`, both included, of these trials.

    Args:
        session: any session.
        trial_ids: whose rows; trials without any row are left out of the answer.
        epoch_from: None for the first.
        epoch_to: None for the last.
        metrics: names to read; None for all.

    Returns:
        The trials in the order of `trial_ids`.
    """
    low, high = epoch_from or 0, 2**31 - 1 if epoch_to is None else epoch_to
    names = None if metrics is None else tuple(dict.fromkeys(metrics))
    by_trial: dict[str, TrialColumns] = {}
    for ids in _chunks(trial_ids):
        by_trial.update(_from_rows(session, ids, low, high, names))
        by_trial.update(_from_curves(session, ids, low, high, names))
    return {trial_id: by_trial[trial_id] for trial_id in trial_ids if trial_id in by_trial}


def _from_rows(
    session: Session, ids: Sequence[str], low: int, high: int, metrics: tuple[str, ...] | None
) -> dict[str, TrialColumns]:
    columns = [name for name in COLUMNS if metrics is None or name in metrics]
    others = None if metrics is None else [name for name in metrics if name not in COLUMNS]
    selected = [EpochRow.trial_id, EpochRow.epoch, *(getattr(EpochRow, name) for name in columns)]
    query: Select[Any] = (
        select(*selected, *([] if others == [] else [EpochRow.extra]))
        .where(EpochRow.trial_id.in_(ids), EpochRow.epoch >= low, EpochRow.epoch <= high)
        .order_by(EpochRow.trial_id, EpochRow.epoch)
    )
    by_trial: dict[str, list[Any]] = defaultdict(list)
    for row in session.execute(query):
        by_trial[row[0]].append(row)
    tables: dict[str, TrialColumns] = {}
    for trial_id, rows in by_trial.items():
        table = list(zip(*rows, strict=True))
        values = {name: np.array(table[2 + i], dtype=np.float64) for i, name in enumerate(columns)}
        if others != []:
            values |= _extra_columns(table[-1], others)
        tables[trial_id] = TrialColumns(trial_id, np.array(table[1], dtype=np.int64), _measured(values))
    return tables


def _extra_columns(extras: Sequence[dict[str, Any] | None], names: Sequence[str] | None) -> dict[str, Column]:
    """The metrics that epoch rows keep together; all that any row has where no names are given."""
    rows = [extra or {} for extra in extras]
    chosen = names or sorted({name for row in rows for name in row})
    return {name: np.array([row.get(name) for row in rows], dtype=np.float64) for name in chosen}


def _measured(values: dict[str, Column]) -> dict[str, Column]:
    """The metrics that the trial has at any epoch."""
    return {name: column for name, column in values.items() if not np.isnan(column).all()}


def _from_curves(
    session: Session, ids: Sequence[str], low: int, high: int, metrics: tuple[str, ...] | None
) -> dict[str, TrialColumns]:
    by_trial = _curves(session, ids, metrics)
    # `seconds` is packed for every trial, so it tells the length of those that have none of the metrics asked for.
    unknown = [trial_id for trial_id in ids if trial_id not in by_trial]
    if metrics is not None and "seconds" not in metrics and unknown:
        by_trial |= _curves(session, unknown, ("seconds",))
    tables: dict[str, TrialColumns] = {}
    for trial_id, curves in by_trial.items():
        cut = {name: curve[low : high + 1] for name, curve in curves.items()}
        epochs = np.arange(low, low + max(curve.size for curve in cut.values()), dtype=np.int64)
        chosen = {name: curve for name, curve in cut.items() if metrics is None or name in metrics}
        if epochs.size:
            tables[trial_id] = TrialColumns(trial_id, epochs, _measured(chosen))
    return tables


def _curves(
    session: Session, ids: Sequence[str], names: tuple[str, ...] | None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The whole packed curves of these trials and metrics."""
    query = select(CurveRow.trial_id, CurveRow.metric, CurveRow.values).where(CurveRow.trial_id.in_(ids))
    if names is not None:
        query = query.where(CurveRow.metric.in_(names))
    curves: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for trial_id, metric, content in session.execute(query):
        curves[trial_id][metric] = np.frombuffer(content, dtype="<f8")
    return curves


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]
