"""Experiments that wait in line, and one who claims, ends and asks."""

from services.cohorts.claim import Claim, claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish
from services.cohorts.turns import gives_way, latest_turn
from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE, ExperimentRow
from tests.support.experiments import make_experiment, message

TTL = 30.0


def submit(database: Database, *sizes: int, workspace: str = DEFAULT_WORKSPACE) -> str:
    with database.write() as session:
        turn = latest_turn(session)
        experiment = make_experiment(session, sizes)
        row = session.get_one(ExperimentRow, experiment)
        row.turn, row.workspace_id = turn, workspace
        return experiment


def take(database: Database, *devices: str) -> Claim:
    with database.write() as session:
        taken = claim(session, "w", TTL, devices or ("cpu", "gpu"))
    assert taken is not None
    return taken


def end(database: Database, taken: Claim) -> None:
    with database.write() as session:
        report = message(taken.last_epoch + 1, taken.epochs, [trial.seed for trial in taken.trials])
        commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL)
        assert finish(session, taken.cohort_id, taken.attempt)


def through_one_slot(database: Database, cohorts: int) -> list[str]:
    """Run so many cohorts, one after the other; the experiments that they belong to."""
    order = []
    for _ in range(cohorts):
        taken = take(database)
        order.append(taken.experiment_id)
        end(database, taken)
    return order


def asked(database: Database, taken: list[Claim], *devices: str) -> list[bool]:
    with database.read() as session:
        return [gives_way(session, one.cohort_id, devices or ("cpu", "gpu")) for one in taken]
