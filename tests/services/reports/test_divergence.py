"""The report's lines on trials that diverged, arm by arm, on both databases."""

from typing import Any

from sqlalchemy import select

from services.db.database import Database
from services.db.tables import ExperimentRow, TrialRow
from services.reports.divergence import divergences
from services.results.loader import load_results
from tests.support.experiments import make_experiment


def experiment_of(database: Database, arms: dict[str, list[dict[str, Any] | None]]) -> str:
    """An experiment with these arms, one trial for each entry: how it diverged, or None."""
    trials = [(arm, seed, how) for arm, ends in arms.items() for seed, how in enumerate(ends)]
    with database.write() as session:
        experiment = make_experiment(session, (len(trials),), epochs=9)
        rows = session.scalars(
            select(TrialRow).where(TrialRow.experiment_id == experiment).order_by(TrialRow.position)
        ).all()
        for row, (arm, seed, how) in zip(rows, trials, strict=True):
            row.arm_key = row.label = arm
            row.seed = seed
            row.state = "succeeded" if how is None else "diverged"
            row.diverged = how
    return experiment


def test_each_arm_has_a_line_and_the_worst_comes_first(database: Database) -> None:
    calm = experiment_of(database, {"calm": [None, None]})
    experiment = experiment_of(
        database,
        {
            "calm": [None] * 6,
            "one": [None, {"epoch": 3, "layer": "loss"}, None],
            "all": [
                {"epoch": epoch, "layer": layer} for epoch, layer in zip([1, 4, 2, 2, 1, 1], "aababa", strict=True)
            ],
            "two": [{"epoch": 2, "layer": "output"}, None, {"epoch": 2, "layer": "output"}],
            "unknown": [{}],
        },
    )
    with database.read() as session:
        results, none = (load_results(session, session.get_one(ExperimentRow, one)) for one in (experiment, calm))
        assert divergences(none) == ()
        assert divergences(results) == (
            "all: 6 of 6 trials, in epochs 1 to 4, first in a (4), b (2)",
            "two: 2 of 3 trials (seeds 0, 2), in epoch 2, first in output",
            "one: 1 of 3 trials (seed 1), in epoch 3, first in the loss",
            "unknown: 1 of 1 trials (seed 0)",
        )
