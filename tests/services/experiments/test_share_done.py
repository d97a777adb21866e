"""How much of an experiment was done, told by the experiment and by its last event alike, however it ended."""

import pytest
from sqlalchemy import select

from services.cohorts.requests import request_cancel
from services.comparisons.comparison import Question, compare_results
from services.db.database import Database
from services.db.tables import EventRow, ExperimentRow
from services.errors import ConflictError
from services.experiments.views import view
from services.results.loader import load_results
from tests.support.experiments import make_experiment, train_next


def shares(database: Database, experiment: str) -> tuple[str, float, float, float]:
    """The state, and the share as the experiment, the experiment with its results, and the last event tell it."""
    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment)
        events = session.scalars(
            select(EventRow).where(EventRow.experiment_id == experiment, EventRow.type == "progress")
        )
        last = max(events, key=lambda event: event.seq)
        with_results = view(session, row, load_results(session, row))
        return row.state, view(session, row).progress, with_results.progress, last.payload["progress"]


def test_a_cancelled_experiment_tells_what_was_done(database: Database, experiment: str) -> None:
    train_next(database, 3)
    with database.write() as session:
        request_cancel(session, experiment)
    assert shares(database, experiment) == ("cancelled", *[6 / 12] * 3)


def test_a_failed_experiment_tells_what_was_done_and_a_diverged_trial_counts_whole(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (1, 2))
    train_next(database, 1, fails="the table cannot be read")
    train_next(database, 3, diverged={0: 1})
    assert shares(database, experiment) == ("failed", *[(1 + 3 + 3) / 9] * 3)


def test_a_final_experiment_without_results_is_not_told_to_wait(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (1, 1))
    train_next(database, 1, fails="the table cannot be read")
    with database.read() as session:
        running = load_results(session, session.get_one(ExperimentRow, experiment))
    with pytest.raises(ConflictError, match="follow the events and ask again"):
        compare_results([running], Question())
    with database.write() as session:
        request_cancel(session, experiment)
    with database.read() as session:
        ended = load_results(session, session.get_one(ExperimentRow, experiment))
    with pytest.raises(ConflictError) as refused:
        compare_results([ended], Question())
    assert str(refused.value) == (
        "no trial finished and none will (1 cancelled, 1 failed), so there is nothing to compare. "
        "1 times: the table cannot be read"
    )
