"""The report's sentences on equal units, on both databases."""

from sqlalchemy import select

from services.db.engine import Database
from services.db.tables import DiagnosticRow, TrialRow
from services.figures.report_symmetry import unbroken_symmetry
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


def test_the_last_measurement_of_each_trial_counts(database: Database) -> None:
    broken = {(0, 0): (1, 5), (4, 0): (5, 5), (4, 1): (3, 5)}
    single = {(0, 0): (1, 1), (4, 0): (1, 1)}
    stuck = {(0, 0): (1, 5), (0, 1): (1, 5), (2, 0): (1, 5), (2, 1): (4, 5)}
    with database.read() as session:
        assert unbroken_symmetry(session, "exp_nothing") == ()
    experiment = measure(database, [broken, single, stuck])
    measure(database, [{(0, 0): (1, 5)}])
    with database.read() as session:
        (sentence,) = unbroken_symmetry(session, experiment)
    assert "all units of dense_0 were still equal at the last measurement (epoch 2) of 1 of 1 trials" in sentence
