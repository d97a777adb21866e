"""Rows and packed curves read alike, whatever part of them is asked for. On both databases."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update

from services.cohorts import packing
from services.cohorts.packing import pack, pack_one, pack_soon
from services.db.database import Database
from services.db.tables import CohortRow, CurveRow, EpochRow, TrialRow
from services.trials.rows import COLUMNS, read_rows
from tests.support.experiments import make_experiment

number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
epoch_row = st.fixed_dictionaries(
    dict.fromkeys(COLUMNS, number), optional={"extra": st.dictionaries(st.sampled_from(["a", "b"]), number)}
)


def put(database: Database, rows: list[list[dict]]) -> list[str]:
    """Store rows of one trial each, replacing all others."""
    with database.write() as session:
        ids = list(session.scalars(select(TrialRow.id).order_by(TrialRow.position)))
        for table in (EpochRow, CurveRow):
            session.execute(delete(table))
        content = [
            {"trial_id": ids[place], "epoch": epoch, "extra": None, **row}
            for place, mine in enumerate(rows)
            for epoch, row in enumerate(mine)
        ]
        if content:
            session.execute(insert(EpochRow), content)
        return ids


def same(one: float, other: float | None) -> bool:
    return math.isnan(one) if other is None else one == other


@given(
    rows=st.lists(st.lists(epoch_row, max_size=6), min_size=1, max_size=3),
    low=st.none() | st.integers(0, 7),
    high=st.none() | st.integers(0, 7),
    metrics=st.none() | st.lists(st.sampled_from(["val_loss", "seconds", "a", "train_loss", "never"]), max_size=3),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
def test_packing_changes_nothing_a_reader_sees(
    database: Database,
    rows: list[list[dict]],
    low: int | None,
    high: int | None,
    metrics: list[str] | None,
) -> None:
    with database.write() as session:
        if session.scalar(select(func.count()).select_from(TrialRow)) == 0:
            make_experiment(session, (3,))
    ids = put(database, rows)
    with database.read() as session:
        before = read_rows(session, ids, low, high, metrics)
    with database.write() as session:
        pack(session, ids)
        assert session.scalar(select(func.count()).select_from(EpochRow)) == 0
    with database.read() as session:
        after = read_rows(session, ids, low, high, metrics)
    assert list(before) == list(after)
    for trial_id, columns in before.items():
        assert columns.epochs.tolist() == after[trial_id].epochs.tolist()
        assert set(columns.metrics) == set(after[trial_id].metrics)
        for name, values in columns.metrics.items():
            assert np.array_equal(values, after[trial_id].metrics[name], equal_nan=True)
    for place, mine in enumerate(rows):
        epochs = [epoch for epoch in range(len(mine)) if (low or 0) <= epoch <= (math.inf if high is None else high)]
        assert (ids[place] in before) == bool(epochs)
        if epochs:
            columns = before[ids[place]]
            assert columns.epochs.tolist() == epochs
            for name in metrics if metrics is not None else (*COLUMNS, "a", "b"):
                numbers = [mine[epoch].get(name, (mine[epoch].get("extra") or {}).get(name)) for epoch in epochs]
                if name in columns.metrics:
                    assert all(same(one, other) for one, other in zip(columns.metrics[name], numbers, strict=True))
                else:
                    assert set(numbers) <= {None}


def test_many_rows_are_packed_a_trial_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 5)
    with database.write() as session:
        make_experiment(session, (3,))
    ids = put(database, [[dict.fromkeys(COLUMNS, 1.0)] * 4] * 3)
    with database.write() as session:
        pack_soon(session, ids)
        assert session.scalar(select(func.count()).select_from(EpochRow)) == 12
        assert pack_one(session, set()) is None, "the cohort is not final"
        session.execute(update(CohortRow).values(state="succeeded"))
    packed = set()
    for _ in range(3):
        with database.write() as session:
            packed.add(pack_one(session, set()))
            both = select(func.count()).select_from(EpochRow).where(EpochRow.trial_id.in_(select(CurveRow.trial_id)))
            assert session.scalar(both) == 0
    with database.write() as session:
        assert pack_one(session, set()) is None
    assert packed == set(ids)


def test_order_and_absence(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (3,))
    ids = put(database, [[dict.fromkeys(COLUMNS, 0.5)], [], [dict.fromkeys(COLUMNS, 0.25)]])
    with database.read() as session:
        assert list(read_rows(session, [ids[2], "trl_none", ids[1], ids[0]])) == [ids[2], ids[0]]
        assert read_rows(session, []) == {}
