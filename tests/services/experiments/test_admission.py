"""Limits of unfinished work: what counts, what is refused and what never, also for two at once. On both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, update

from services.cohorts.requests import request_cancel, request_pause, resume
from services.db.database import Database
from services.db.isolation import WorkspaceDatabase
from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.errors import QueueFullError, WorkspaceFullError
from services.experiments import admission, store
from services.experiments.control import Action, steer
from services.experiments.plan import plan
from services.science.spec import ExperimentSpec
from services.settings import Settings

SPEC = ExperimentSpec.model_validate(
    {"dataset": "digits", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 4}
)


def limits(**changes: Any) -> Settings:
    return Settings.model_validate({"max_trials": 4, **changes})


def submit(database: Database, settings: Settings) -> str:
    return database.transact(lambda session: store.create(session, SPEC, settings).id)


def stored(database: Database) -> tuple[int, int, int]:
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(t)) for t in (ExperimentRow, CohortRow, TrialRow)]
    return (counts[0] or 0, counts[1] or 0, counts[2] or 0)


@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        (
            {"max_unfinished_trials": 10},
            "the service has 8 unfinished trials and takes at most 10; this adds 4 trials: ",
        ),
        (
            {"max_unfinished_experiments": 2},
            "the service has 2 unfinished experiments and takes at most 2; this adds 1 experiment: ",
        ),
    ],
)
def test_beyond_a_limit_nothing_is_stored_until_there_is_room(
    database: Database, limit: dict[str, int], detail: str
) -> None:
    settings = limits(**limit)
    first, second = submit(database, settings), submit(database, settings)
    before = stored(database)
    with pytest.raises(QueueFullError) as caught:
        submit(database, settings)
    assert caught.value.detail.startswith(detail)
    assert caught.value.retry_after is not None
    assert admission.LEAST_SECONDS <= caught.value.retry_after <= admission.MOST_SECONDS
    assert stored(database) == before
    with database.read() as session:
        warnings = plan(session, SPEC, settings).warnings
    assert [warning for warning in warnings if warning.startswith("refused at present: the service has ")]

    with database.write() as session:
        request_pause(session, second)  # a pause makes no room
    with pytest.raises(QueueFullError):
        submit(database, settings)
    with database.write() as session:
        request_cancel(session, first)
    third = submit(database, settings)
    with database.write() as session:
        assert resume(session, second) == "queued", "what was taken once is not refused later"
    assert stored(database)[0] == 3
    assert third


def test_two_at_once_do_not_both_pass(database: Database) -> None:
    settings = limits(max_unfinished_trials=12)
    ready = threading.Barrier(8)

    def attempt(_: int) -> bool:
        ready.wait()
        try:
            submit(database, settings)
        except QueueFullError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(attempt, range(8)))
    assert taken.count(True) == 3
    assert stored(database)[2] == 12


def test_a_retry_is_refused_without_a_loss_and_done_when_there_is_room(database: Database) -> None:
    settings = limits(max_unfinished_trials=4)
    failed = submit(database, settings)
    with database.write() as session:
        for table in (CohortRow, TrialRow):
            session.execute(update(table).where(table.experiment_id == failed).values(state="failed"))
        session.execute(update(ExperimentRow).values(state="failed"))
    other = submit(database, settings)
    with pytest.raises(QueueFullError), database.write() as session:
        steer(session, failed, Action.RETRY, settings)
    with database.read() as session:
        assert store.get(session, failed).state == "failed"
        assert set(session.scalars(select(TrialRow.state).where(TrialRow.experiment_id == failed))) == {"failed"}
    with database.write() as session:
        request_cancel(session, other)
    with database.write() as session:
        assert steer(session, failed, Action.RETRY, settings).state == "queued"


def test_when_to_come_back_follows_from_the_quotes_and_is_bounded(database: Database) -> None:
    settings = limits(max_unfinished_trials=8)
    submit(database, settings)
    paused = submit(database, settings)

    def told(expected: Any) -> float | None:
        with database.write() as session:
            session.execute(update(ExperimentRow).values(quote={"seconds": {"expected": expected}}))
        with pytest.raises(QueueFullError) as caught:
            submit(database, settings)
        return caught.value.retry_after

    assert told(200.0) == 200.0, "half of what two experiments of 200 s need"
    assert told(1e9) == admission.MOST_SECONDS
    assert told(0.1) == admission.LEAST_SECONDS
    with database.write() as session:
        session.execute(update(ExperimentRow).values(quote=None))
    with pytest.raises(QueueFullError):
        submit(database, settings)
    with database.write() as session:
        request_pause(session, paused)
    assert told(200.0) == 100.0, "nobody knows when what is paused goes on"


def test_limits_that_refuse_the_largest_experiment_for_ever_are_refused() -> None:
    with pytest.raises(ValueError, match="max_unfinished_trials=3 is less than max_trials=4"):
        limits(max_unfinished_trials=3)


@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        (
            {"max_workspace_trials": 10},
            "the workspace has 8 unfinished trials and takes at most 10; this adds 4 trials: ",
        ),
        (
            {"max_workspace_experiments": 2},
            "the workspace has 2 unfinished experiments and takes at most 2; this adds 1 experiment: ",
        ),
    ],
)
def test_a_full_workspace_refuses_its_own_work_and_nobody_elses(
    database: Database, limit: dict[str, int], detail: str
) -> None:
    settings = limits(**limit)
    one, other = (WorkspaceDatabase(database, name) for name in ("default", "wsp_other"))

    def add(place: WorkspaceDatabase) -> str:
        return place.transact(lambda session: store.create(session, SPEC, settings).id)

    first = add(one)
    add(one)
    before = stored(database)
    with pytest.raises(WorkspaceFullError) as caught:
        add(one)
    assert caught.value.detail.startswith(detail)
    assert caught.value.retry_after is not None
    assert admission.LEAST_SECONDS <= caught.value.retry_after <= admission.MOST_SECONDS
    assert stored(database) == before
    with one.read() as session:
        warnings = plan(session, SPEC, settings).warnings
    assert [warning for warning in warnings if warning.startswith("refused at present: the workspace has ")]
    add(other)
    with one.write() as session:
        request_cancel(session, first)
    add(one)


def test_two_of_a_workspace_at_once_do_not_both_pass(database: Database) -> None:
    settings = limits(max_workspace_trials=8)
    ready = threading.Barrier(4)

    def attempt(_: int) -> bool:
        ready.wait()
        try:
            submit(database, settings)
        except WorkspaceFullError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(attempt, range(4))).count(True) == 2


def test_a_retry_in_a_full_workspace_is_refused_and_loses_nothing(database: Database) -> None:
    settings = limits(max_workspace_trials=4)
    failed = submit(database, settings)
    with database.write() as session:
        for row in (ExperimentRow, CohortRow, TrialRow):
            session.execute(update(row).values(state="failed"))
    submit(database, settings)
    with pytest.raises(WorkspaceFullError), database.write() as session:
        steer(session, failed, Action.RETRY, settings)
    with database.read() as session:
        assert session.get_one(ExperimentRow, failed).state == "failed"


def test_a_limit_of_workspaces_that_refuses_the_largest_experiment_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="max_workspace_trials=3 is less than max_trials=4"):
        limits(max_workspace_trials=3)
