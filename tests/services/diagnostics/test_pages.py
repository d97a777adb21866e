"""Diagnostics by filter, on both databases, against plain Python over the same rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from services.db.database import Database
from services.db.tables import DiagnosticRow, TrialRow
from services.diagnostics.filter import parse_where
from services.diagnostics.pages import Wanted, page
from services.errors import InvalidInputError
from tests.support.experiments import make_experiment

EPOCHS, LAYERS = (0, 1, 4), 3


class Key(NamedTuple):
    trial: int
    epoch: int
    layer: int


def values(trial: int, epoch: int, layer: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "dead_fraction": 0.25 * trial + 0.1 * layer,
        "pre_activation_variance": None if epoch == 4 and trial == 1 else 10.0 ** (layer - epoch),
        "histogram": {"below": 0, "counts": [1, 2], "above": 3},
    }
    return values | ({"update_ratio": 0.01 * epoch} if epoch else {})


@pytest.fixture
def measured(database: Database) -> str:
    with database.write() as session:
        experiment = make_experiment(session, (2, 2), epochs=4)
        for place, trial in enumerate(session.scalars(select(TrialRow).order_by(TrialRow.position))):
            session.add_all(
                DiagnosticRow(
                    trial_id=trial.id,
                    epoch=epoch,
                    layer=f"dense_{layer}",
                    layer_index=layer,
                    values=values(place, epoch, layer),
                )
                for epoch in EPOCHS
                for layer in range(LAYERS)
            )
        other = make_experiment(session, (1,))
        trial = session.scalars(select(TrialRow).where(TrialRow.experiment_id == other)).one()
        session.add(DiagnosticRow(trial_id=trial.id, epoch=0, layer="dense_0", layer_index=0, values={}))
    return experiment


EVERY = [Key(trial, epoch, layer) for trial in range(4) for epoch in EPOCHS for layer in range(LAYERS)]
KEPT: list[tuple[str, Callable[[Key], bool]]] = [
    ("dead_fraction > 0.5 and epoch = 0", lambda row: 0.25 * row.trial + 0.1 * row.layer > 0.5 and row.epoch == 0),
    (
        "pre_activation_variance <= 1e-2",
        lambda row: not (row.epoch == 4 and row.trial == 1) and 10.0 ** (row.layer - row.epoch) <= 1.001e-2,
    ),
    (
        "not pre_activation_variance > 1",
        lambda row: not (row.epoch == 4 and row.trial == 1) and 10.0 ** (row.layer - row.epoch) <= 1,
    ),
    ("update_ratio = 0.01", lambda row: row.epoch == 1),
    ("update_ratio >= 0 or layer = dense_2", lambda row: row.epoch > 0 or row.layer == 2),
    ("layer in (dense_0, 'dense_1') and seed != 3", lambda row: row.layer < 2 and row.trial != 3),
    ("layer_index < 1.5 and epoch in (0, 4)", lambda row: row.layer < 2 and row.epoch in {0, 4}),
    ("arm contains 'TRIAL 2'", lambda row: row.trial == 2),
    ("gradient_norm > -1e300 or gradient_norm < 1", lambda row: row.epoch < 0),
]


@pytest.mark.parametrize(("where", "expected"), KEPT, ids=[text for text, _ in KEPT])
def test_an_expression_keeps_what_it_says(
    database: Database, measured: str, where: str, expected: Callable[[Key], bool]
) -> None:
    with database.read() as session:
        items, last = page(session, measured, Wanted(where=where), 1000)
    assert last is None
    assert [(item.seed, item.epoch, item.layer_index) for item in items] == [key for key in EVERY if expected(key)]


def test_pages_cover_everything_once_in_order(database: Database, measured: str) -> None:
    seen, after = [], None
    with database.read() as session:
        while True:
            items, after = page(session, measured, Wanted(), 5, after)
            seen += [(item.seed, item.epoch, item.layer_index) for item in items]
            if after is None:
                break
    assert seen == EVERY


def test_choices_by_name(database: Database, measured: str) -> None:
    with database.read() as session:
        items, _ = page(
            session,
            measured,
            Wanted(
                arms=("trial 1", "trial 3"),
                epochs=(1, 4),
                layers=("dense_1",),
                quantities=("dead_fraction", "histogram"),
            ),
            100,
        )
        assert [(item.seed, item.epoch, item.layer) for item in items] == [
            (1, 1, "dense_1"), (1, 4, "dense_1"), (3, 1, "dense_1"), (3, 4, "dense_1"),
        ]  # fmt: skip
        assert items[0].values == {"dead_fraction": 0.35, "histogram": {"below": 0, "counts": [1, 2], "above": 3}}
        one, _ = page(session, measured, Wanted(trials=(items[0].trial_id,)), 100)
        assert {item.trial_id for item in one} == {items[0].trial_id}
        assert len(one) == len(EPOCHS) * LAYERS


@pytest.mark.parametrize(
    ("selection", "pointer", "words"),
    [
        (Wanted(quantities=("colour",)), "quantity", "unknown quantity 'colour'"),
        (Wanted(arms=("nobody",)), "arm", "no arm"),
        (Wanted(where="histogram > 1"), "where", "expected a field"),
        (Wanted(where="epoch > soon"), "where", "expected a number, not 'soon' at character 9"),
        (Wanted(where="epoch > inf"), "where", "expected a number"),
        (Wanted(where="layer > dense_1"), "where", "=, != or contains"),
        (Wanted(where="epoch contains 1"), "where", "`contains` works on"),
    ],
)
def test_refusals(database: Database, measured: str, selection: Wanted, pointer: str, words: str) -> None:
    with database.read() as session, pytest.raises(InvalidInputError, match=words) as refused:
        page(session, measured, selection, 10)
    assert refused.value.problems[0].pointer == pointer


@given(st.text(alphabet="epochd_fratin '\"=()<>!,;\\%15e-.", max_size=60))
def test_any_text_is_either_a_clause_or_a_refusal(text: str) -> None:
    try:
        clause = parse_where(text)
    except InvalidInputError:
        return
    clause.compile(dialect=sqlite.dialect())
    clause.compile(dialect=postgresql.dialect())
