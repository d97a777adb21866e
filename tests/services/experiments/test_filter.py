"""The filter language against plain Python over the same rows, and its refusals."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from services.db.base import new_id
from services.db.database import Database
from services.db.tables import ExperimentRow
from services.errors import InvalidInputError
from services.experiments.filter import parse_filter

ROWS: list[dict[str, Any]] = [
    {"name": "alpha", "state": "queued", "dataset": "digits", "tags": ["x"], "trial_count": 4, "epochs": 1},
    {"name": "beta 50%", "state": "running", "dataset": "digits", "tags": ["x", "y"], "trial_count": 8, "epochs": 2},
    {"name": None, "state": "failed", "dataset": "diamonds", "tags": [], "trial_count": 16, "epochs": 3},
    {
        "name": "it's",
        "state": "succeeded",
        "dataset": "diamonds",
        "tags": ['q"', "o'z"],
        "trial_count": 32,
        "epochs": 4,
    },
]
CASES: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("state = 'running'", lambda r: r["state"] == "running"),
    ("STATE != running", lambda r: r["state"] != "running"),
    ("state = 'running' and (tag = 'y' or dataset = 'diamonds')", lambda r: r["state"] == "running"),
    ("state = running or tag = x and dataset = diamonds", lambda r: r["state"] == "running"),
    ("(state = running or tag = x) and dataset = diamonds", lambda r: r is None),
    ("not tag = x", lambda r: "x" not in r["tags"]),
    ("tag != 'x' AND NOT trials > 16", lambda r: "x" not in r["tags"] and r["trial_count"] <= 16),
    ('tag = \'o\'\'z\' and tag = "q"""', lambda r: r["name"] == "it's"),
    ("name = 'it''s'", lambda r: r["name"] == "it's"),
    ("name != 'alpha'", lambda r: r["name"] != "alpha"),
    ("name contains '%'", lambda r: "%" in (r["name"] or "")),
    ("name contains 'ALP'", lambda r: r["name"] == "alpha"),
    ("trials >= 8 and trials < 32", lambda r: 8 <= r["trial_count"] < 32),
    ("state in (queued, 'failed')", lambda r: r["state"] in ("queued", "failed")),
    ("state not in (queued, failed)", lambda r: r["state"] not in ("queued", "failed")),
    ('tag in (y, "q""")', lambda r: bool({"y", 'q"'} & set(r["tags"]))),
    ("not (not (epochs = 3))", lambda r: r["epochs"] == 3),
    ("created_at > 2026-01-02T00:00:00Z", lambda r: r["epochs"] >= 3),
    ("created_at <= '2026-01-02'", lambda r: r["epochs"] <= 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_filter_finds_what_it_says(database: Database, text: str, expected: Callable[[dict[str, Any]], bool]) -> None:
    with database.write() as session:
        store(session)
    with database.read() as session:
        epochs = set(session.scalars(select(ExperimentRow.epochs).where(parse_filter(text))))
    assert epochs == {row["epochs"] for row in ROWS if expected(row)}


def store(session: Session) -> None:
    for row in ROWS:
        moment = datetime(2026, 1, row["epochs"], tzinfo=UTC)
        fixed = {"spec": {}, "spec_version": 1, "spec_digest": "", "created_at": moment}
        session.add(ExperimentRow(id=new_id("exp"), **row, **fixed))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a field"),
        ("state", "expected one of"),
        ("state =", "the end at character 8"),
        ("state = 'foo'", "legal: queued, running"),
        ("colour = 1", "not 'colour' at character 1"),
        ("state = running or", "the end at character 19"),
        ("(state = running", "expected ')'"),
        ("state = running)", "not ')' at character 16"),
        ("trials = x", "whole number"),
        ("trials = 1.5", "whole number"),
        ("trials = 99999999999", "whole number"),
        ("created_at > 'soon'", "needs a time"),
        ("tag > 'x'", "= or !="),
        ("state contains 'r'", "`contains` works on"),
        ("name = 'abc", "cannot read"),
        ("name = ;", "cannot read ';' at character 8"),
        ("state in ()", "expected a value"),
        ("(" * 40, "nested deeper"),
        ("state = running and " * 200, "longer than"),
    ],
)
def test_a_refusal_says_where_and_what(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_filter(text)
    assert words in caught.value.detail
    assert caught.value.problems[0].pointer == "filter"


@given(st.text(alphabet="st'\"=() andornot1<>!,;\\%", max_size=60))
def test_any_text_is_either_a_clause_or_a_refusal(text: str) -> None:
    try:
        clause = parse_filter(text)
    except InvalidInputError:
        return
    clause.compile(dialect=sqlite.dialect())


@given(st.text(min_size=1, max_size=50).filter(lambda text: "\x00" not in text))
def test_quoted_text_never_becomes_syntax(value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    compiled = parse_filter(f"name = {quoted}").compile(dialect=sqlite.dialect())
    assert value in compiled.params.values()
    assert str(compiled) == "experiments.name = ?"
