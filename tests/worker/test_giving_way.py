"""A cohort that trains for long is set down for an experiment that never began, and goes on from there, bit for bit."""

from sqlalchemy import select

from services.cohorts.requests import request_cancel, request_pause
from services.db.tables import CohortRow
from services.quotes.history import undisturbed
from tests.support.workers import ENDLESS, Workshop, eventually


def test_a_newcomer_runs_in_between_and_nothing_is_lost(workshop: Workshop) -> None:
    mark = workshop.folder / "go"
    # Before epoch 40 the large one waits for the mark: it is still there when the small one comes.
    large = workshop.submit((3,), 60, epoch_seconds=0.001, gate={"epoch": 40, "mark": str(mark)})
    workshop.worker(FIRSTLIGHT_TURN_SECONDS="0.1")
    workshop.wait_epoch(large, 1)
    small = workshop.submit((1,), 3)
    assert workshop.wait(small) == "succeeded"
    mark.touch()
    assert workshop.wait(large) == "succeeded"
    for experiment in (large, small):
        workshop.check(experiment)
    assert workshop.outcomes(large)[-1] == "done"
    assert set(workshop.outcomes(large)[:-1]) == {"drained"}, "it gave way, and no budget was touched"
    assert (workshop.cohort(large).failures, workshop.cohort(large).losses) == (0, 0)
    assert workshop.outcomes(small) == ["done"]
    with workshop.database.read() as session:
        taught = session.scalars(select(CohortRow.id).where(*undisturbed())).all()
    assert workshop.cohort(large).id in taught, "each epoch was trained once: the next quote may know"


def test_before_its_turn_is_over_nothing_gives_way(workshop: Workshop) -> None:
    large = workshop.submit((1,), ENDLESS)
    workshop.worker(FIRSTLIGHT_TURN_SECONDS="3600")
    workshop.wait_epoch(large, 1)
    small = workshop.submit((1,), 3)
    reached = workshop.cohort(large).last_epoch
    eventually(lambda: workshop.cohort(large).last_epoch > reached + 50, "the large one to go on")
    assert workshop.state(small) == "queued"
    assert workshop.cohort(large).attempt == 1
    with workshop.database.write() as session:
        request_pause(session, large)
    assert workshop.wait(small) == "succeeded"
    assert workshop.outcomes(large) == ["paused"]
    with workshop.database.write() as session:
        request_cancel(session, large)
    assert workshop.wait(large) == "cancelled"
