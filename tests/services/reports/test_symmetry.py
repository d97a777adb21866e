"""The report's sentences on equal units, on both databases."""

from sqlalchemy import select

from services.db.database import Database
from services.db.tables import DiagnosticRow, ExperimentRow, TrialRow
from services.reports.symmetry import unbroken_symmetry
from services.results.loader import load_results
from tests.support.experiments import make_experiment


def measure(database: Database, counts: list[dict[tuple[int, int], tuple[int, int]]]) -> str:
    """An experiment whose trials have, by epoch and layer, so many distinct units of so many."""
    with database.write() as session:
        experiment = make_experiment(session, (len(counts),), epochs=4)
        trials = session.scalars(
            select(TrialRow).where(TrialRow.experiment_id == experiment).order_by(TrialRow.position)
        )
        for trial, rows in zip(trials, counts, strict=True):
            session.add_all(
                DiagnosticRow(
                    trial_id=trial.id,
                    epoch=epoch,
                    layer=f"dense_{layer}",
                    layer_index=layer,
                    values={"distinct_units": distinct, "units": units},
                )
                for (epoch, layer), (distinct, units) in rows.items()
            )
    return experiment


def told(database: Database, experiment: str) -> tuple[str, ...]:
    with database.read() as session:
        return unbroken_symmetry(session, load_results(session, session.get_one(ExperimentRow, experiment)))


def test_the_last_measurement_of_each_trial_counts(database: Database) -> None:
    broken = {(0, 0): (1, 5), (4, 0): (5, 5), (4, 1): (3, 5)}
    single = {(0, 0): (1, 1), (4, 0): (1, 1)}
    stuck = {(0, 0): (1, 5), (0, 1): (1, 5), (2, 0): (1, 5), (2, 1): (4, 5)}
    assert told(database, measure(database, [{}])) == ()
    experiment = measure(database, [broken, single, stuck])
    measure(database, [{(0, 0): (1, 5)}])
    (sentence,) = told(database, experiment)
    assert "all units of dense_0 were still equal at the last measurement (epoch 2) of 1 of 1 trials" in sentence
