"""The layers of trials: the numbers that are wished for, of every seed, and not too many."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow
from services.science.results import ArmResults, LayerRecord, LayerWish
from services.trials.rows import IDS_AT_ONCE

MOST_RECORDS = 20_000
"""Layers of trials that are read for one wish, some 10 MB; arms that do not fit are left out, from the end."""
COUNTS_AT_ONCE = 10_000
"""Rows of a count, one per trial and epoch, that are held together."""

Key = tuple[str, int, int, str]
Trial = tuple[str, int]
"""A trial of an experiment: its arm's key and its seed."""
Clause = ColumnElement[bool]
"""A condition over `DiagnosticRow`."""


def read_layers(
    session: Session, arms: Sequence[ArmResults], wishes: Sequence[LayerWish]
) -> tuple[tuple[LayerRecord, ...], tuple[str, ...]]:
    """What the wishes ask for.

    Args:
        session: any session.
        arms: of one experiment, in the order of the grid.
        wishes: of the figures that are to be drawn.

    Returns:
        The records, and the labels of the arms that were left out because there were too many.

    Raises:
        NoFigureDataError: a wish finds nothing that it could choose.
    """
    records: dict[Key, LayerRecord] = {}
    left_out: dict[str, None] = {}
    for wish in wishes:
        for record in _wished(session, arms, wish, left_out):
            place = (record.arm_key, record.seed, record.epoch, record.layer)
            # The same layer for two wishes becomes one record with both's values.
            values = {**records[place].values, **record.values} if place in records else record.values
            records[place] = LayerRecord(*place, record.layer_index, values)
    return tuple(records.values()), tuple(left_out)


def untrained_layers(
    session: Session, arms: Sequence[ArmResults], names: Sequence[str]
) -> dict[str, list[LayerRecord]]:
    """These numbers of the layers of untrained networks, from input to output, by the ids of their trials."""
    records: dict[str, list[LayerRecord]] = defaultdict(list)
    for trials in _chunks(arms):
        for trial_id, record in _read(session, trials, names, DiagnosticRow.epoch == 0):
            records[trial_id].append(record)
    return dict(records)


def last_layers(
    session: Session, arms: Sequence[ArmResults], names: Sequence[str], measured: Sequence[Clause], *which: Clause
) -> list[LayerRecord]:
    """These numbers of the layers that fulfil `which`, each trial's after the last epoch with a `measured` layer."""
    records: list[LayerRecord] = []
    for trials in _chunks(arms):
        last = (
            select(DiagnosticRow.trial_id, func.max(DiagnosticRow.epoch).label("epoch"))
            .where(DiagnosticRow.trial_id.in_(trials), *measured)
            .group_by(DiagnosticRow.trial_id)
            .subquery()
        )
        query = _query(names).join(
            last, (last.c.trial_id == DiagnosticRow.trial_id) & (last.c.epoch == DiagnosticRow.epoch)
        )
        records += [record for _, record in _executed(session, query.where(*which), trials, names)]
    return records


def measured_trials(session: Session, arms: Sequence[ArmResults]) -> dict[str, int]:
    """How many trials of each arm have measured layers, by the arms' keys."""
    counts: dict[str, int] = defaultdict(int)
    for trials in _chunks(arms):
        query = select(DiagnosticRow.trial_id).where(DiagnosticRow.trial_id.in_(trials)).distinct()
        for trial_id in session.scalars(query):
            counts[trials[trial_id][0]] += 1
    return counts


def _wished(
    session: Session, arms: Sequence[ArmResults], wish: LayerWish, left_out: dict[str, None]
) -> Iterator[LayerRecord]:
    """One wish's records; the names of the arms that do not fit are added to `left_out`."""
    first = DiagnosticRow.values[wish.names[0]]
    measured = first.as_string().is_not(None)
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    choosable: dict[str, set[int]] = defaultdict(set)
    chooses = case((first.as_float() > 0, 1), else_=0) if wish.positive else literal(1)
    for key, epoch, count, choosing in _counts(session, arms, chooses, measured):
        counts[key][epoch] += count
        if choosing:
            choosable[key].add(epoch)
    if not choosable:
        return
    chosen = wish.arms([arm for arm in arms if arm.key in choosable])
    epochs = wish.epochs(sorted({epoch for arm in chosen for epoch in choosable[arm.key]}))
    sizes = [sum(counts[arm.key].get(epoch, 0) for epoch in epochs) for arm in chosen]
    fitting = [arm for arm, total in zip(chosen, accumulate(sizes), strict=True) if total <= MOST_RECORDS] or chosen[:1]
    left_out.update({arm.label: None for arm in chosen[len(fitting) :]})
    alone = bool(sizes) and sizes[0] > MOST_RECORDS
    if alone:
        left_out[f"seeds of {fitting[0].label} beyond the first"] = None
    left = MOST_RECORDS
    # What may have to be cut is read trial by trial, so that little more than what is shown is ever held.
    for trials in _chunks(fitting, 1 if alone else None):
        for _, record in _read(session, trials, wish.names, measured, DiagnosticRow.epoch.in_(epochs), most=left):
            left -= 1
            yield record
        if left <= 0:
            return


def _counts(
    session: Session, arms: Sequence[ArmResults], chooses: Any, measured: Clause
) -> Iterator[tuple[str, int, int, int]]:
    """Key of an arm, epoch, measured layers, and the sum of what `chooses`, for each trial and epoch."""
    for trials in _chunks(arms):
        query = (
            select(DiagnosticRow.trial_id, DiagnosticRow.epoch, func.count(), func.sum(chooses))
            .where(DiagnosticRow.trial_id.in_(trials), measured)
            .group_by(DiagnosticRow.trial_id, DiagnosticRow.epoch)
            .execution_options(yield_per=COUNTS_AT_ONCE)
        )
        for trial_id, epoch, count, choosing in session.execute(query):
            yield trials[trial_id][0], epoch, count, choosing


def _read(
    session: Session, trials: Mapping[str, Trial], names: Sequence[str], *which: Clause, most: int | None = None
) -> list[tuple[str, LayerRecord]]:
    query = _query(names).where(DiagnosticRow.trial_id.in_(trials), *which)
    return _executed(session, query, trials, names)[:most]


def _query(names: Sequence[str]) -> Any:
    columns: list[Any] = [
        DiagnosticRow.trial_id,
        DiagnosticRow.epoch,
        DiagnosticRow.layer,
        DiagnosticRow.layer_index,
        *(_value(name) for name in names),
    ]
    return select(*columns).order_by(DiagnosticRow.epoch, DiagnosticRow.layer_index)


def _executed(
    session: Session, query: Any, trials: Mapping[str, Trial], names: Sequence[str]
) -> list[tuple[str, LayerRecord]]:
    """The records of a query, each with its trial's id, in the order of the trials, the epochs and the layers."""
    by_trial: dict[str, list[LayerRecord]] = {trial_id: [] for trial_id in trials}
    rows: Iterable[Any] = session.execute(query)
    for trial_id, epoch, layer, index, *numbers in rows:
        values = dict(zip(names, numbers, strict=True))
        by_trial[trial_id].append(LayerRecord(*trials[trial_id], epoch, layer, index, values))
    return [(trial_id, record) for trial_id, records in by_trial.items() for record in records]


def _chunks(arms: Sequence[ArmResults], most: int | None = None) -> Iterator[dict[str, Trial]]:
    """The trials of these arms by their ids, as many as a statement takes, or at most so many."""
    size = most or IDS_AT_ONCE
    every = [(trial.id, (arm.key, trial.seed)) for arm in arms for trial in arm.trials]
    for start in range(0, len(every), size):
        yield dict(every[start : start + size])


def _value(name: str) -> Any:
    value = DiagnosticRow.values[name]
    return value if name == "histogram" else value.as_float()
