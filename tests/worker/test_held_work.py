"""Trouble of the worker's own, such as a folder it cannot write, is no fault of an experiment: the work is held."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from services.db.clock import CLOCK
from services.db.database import Database
from services.db.tables import AttemptRow, CohortRow, WorkerRow
from tests.support.experiments import make_experiment
from tests.support.workers import Workshop, eventually
from worker import slot as slot_module
from worker.slot import Slot


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_folder_that_cannot_be_written_holds_the_work(workshop: Workshop) -> None:
    folder = workshop.settings.home / "artifacts"
    folder.write_text("a file in the way")
    first = workshop.submit((2,), epochs=3)
    second = workshop.submit((1,), epochs=3)
    workshop.worker()

    def told() -> str | None:
        with workshop.database.read() as session:
            return session.scalars(select(WorkerRow.problem)).one_or_none()

    assert f"the artifacts folder {folder}/cohorts cannot be written" in eventually(told, "the worker to say why")
    eventually(lambda: "work_held" in workshop.logs(), "the work to be held")
    for experiment in (first, second):
        cohort = workshop.cohort(experiment)
        assert (cohort.state, cohort.attempt, cohort.losses, cohort.failures) == ("queued", 0, 0, 0)
    folder.unlink()
    for experiment in (first, second):
        assert workshop.wait(experiment) == "succeeded"
        assert workshop.outcomes(experiment) == ["done"]
    eventually(lambda: told() is None, "the worker to have no problem any more")


@pytest.mark.parametrize("place", ["_call_others", "_take_spare", "Supervisor"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whatever_goes_wrong_after_a_claim_the_cohort_is_given_back(
    slot: Slot, database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(slot_module, "REST_SECONDS", 0.0)
    monkeypatch.setattr(slot_module if place == "Supervisor" else slot, place, broken)
    with database.write() as session:
        make_experiment(session, (2,))
    waits: list[float] = []
    for number in range(1, 8):  # more than any budget
        assert slot._work()
        assert not slot.busy
        with database.write() as session:
            cohort = session.scalars(select(CohortRow)).one()
            attempt = session.scalars(select(AttemptRow).order_by(AttemptRow.attempt.desc())).first()
            waits.append(session.execute(select(CohortRow.available_at - CLOCK)).scalar_one())
            session.execute(update(CohortRow).values(available_at=0.0))
        assert (cohort.state, cohort.attempt, cohort.losses, cohort.failures) == ("queued", number, 0, 0)
        assert attempt is not None
        assert attempt.outcome == "returned"
        assert attempt.detail == {"detail": "OSError: [Errno 24] Too many open files"}
    assert waits[0] <= 0.0
    assert max(waits) > 4.0, "it came back at once, again and again"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_folder_that_is_lost_in_mid_run_costs_no_budget(
    slot: Slot, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at before the claim; what happens between that and the first file is given back."""
    with database.write() as session:
        make_experiment(session, (2,))
    looked = slot._able

    def lost_right_after() -> bool:
        able = looked()
        shutil.rmtree(tmp_path / "home" / "artifacts")
        (tmp_path / "home" / "artifacts").write_text("a file in the way")
        return able

    monkeypatch.setattr(slot_module, "REST_SECONDS", 0.0)
    monkeypatch.setattr(slot, "_able", lost_right_after)
    assert slot._work()
    with database.read() as session:
        cohort = session.scalars(select(CohortRow)).one()
        attempt = session.scalars(select(AttemptRow)).one()
    assert (cohort.state, cohort.losses, cohort.failures, attempt.outcome) == ("queued", 0, 0, "returned")
    assert attempt.detail is not None
    assert f"{tmp_path}/home/artifacts/cohorts" in attempt.detail["detail"]
