"""The layers of an experiment as figures read them: the numbers that are wanted, of every seed, and not too many."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, literal, select
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow, TrialRow
from services.science.figures import ArmRuns, LayerRecord
from services.science.figures.study import LayerWish

MOST_RECORDS = 20_000
"""Layers of trials that are read for one figure, some 10 MB; arms that do not fit are left out, from the end."""

Key = tuple[str, int, int, str]


def read_layers(
    session: Session, experiment_id: str, arms: Sequence[ArmRuns], wishes: Sequence[LayerWish]
) -> tuple[tuple[LayerRecord, ...], tuple[str, ...]]:
    """What the wishes ask for.

    Args:
        session: any session.
        experiment_id: whose.
        arms: its arms in the order of the grid.
        wishes: of the figures that are to be drawn.

    Returns:
        The records, and the labels of the arms that were left out because there were too many.

    Raises:
        NoFigureDataError: a wish finds nothing that it could choose.
    """
    found: dict[Key, LayerRecord] = {}
    left_out: dict[str, None] = {}
    for wish in wishes:
        _read(session, experiment_id, arms, wish, found, left_out)
    return tuple(found.values()), tuple(left_out)


def _read(
    session: Session,
    experiment_id: str,
    arms: Sequence[ArmRuns],
    wish: LayerWish,
    found: dict[Key, LayerRecord],
    left_out: dict[str, None],
) -> None:
    """Add one wish's records to those that are there; the same layer twice becomes one record with both's values."""
    first = DiagnosticRow.values[wish.names[0]]
    measured = first.as_string().is_not(None)
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    known: dict[str, set[int]] = defaultdict(set)
    chooses = case((first.as_float() > 0, 1), else_=0) if wish.positive else literal(1)
    query = (
        select(TrialRow.arm_key, DiagnosticRow.epoch, func.count(), func.sum(chooses))
        .join(TrialRow, TrialRow.id == DiagnosticRow.trial_id)
        .where(TrialRow.experiment_id == experiment_id, measured)
        .group_by(TrialRow.arm_key, DiagnosticRow.epoch)
    )
    for key, epoch, count, choosing in session.execute(query):
        counts[key][epoch] = count
        if choosing:
            known[key].add(epoch)
    if not known:
        return
    chosen = wish.arms([arm for arm in arms if arm.key in known])
    epochs = wish.epochs(sorted({epoch for arm in chosen for epoch in known[arm.key]}))
    fitting, total = [], 0
    for arm in chosen:
        total += sum(counts[arm.key].get(epoch, 0) for epoch in epochs)
        if total > MOST_RECORDS and fitting:
            left_out[arm.label] = None
        else:
            fitting.append(arm)
    if total > MOST_RECORDS and len(fitting) == 1:
        left_out[f"seeds of {fitting[0].label} beyond the first"] = None
    rows = (
        select(
            TrialRow.arm_key,
            TrialRow.seed,
            DiagnosticRow.epoch,
            DiagnosticRow.layer,
            DiagnosticRow.layer_index,
            *(_value(name) for name in wish.names),
        )
        .join(TrialRow, TrialRow.id == DiagnosticRow.trial_id)
        .where(TrialRow.experiment_id == experiment_id, measured, DiagnosticRow.epoch.in_(epochs))
        .where(TrialRow.arm_key.in_([arm.key for arm in fitting]))
        .order_by(TrialRow.position, DiagnosticRow.epoch, DiagnosticRow.layer_index)
        .limit(MOST_RECORDS)
    )
    for key, seed, epoch, layer, index, *numbers in session.execute(rows):
        values = dict(zip(wish.names, numbers, strict=True))
        place = (key, seed, epoch, layer)
        if place in found:
            values = {**found[place].values, **values}
        found[place] = LayerRecord(key, seed, epoch, layer, index, values)


def _value(name: str) -> Any:
    value = DiagnosticRow.values[name]
    return value if name == "histogram" else value.as_float()
