"""What a report reads: every row of its experiment once, whatever parts of it speak of them. On both databases."""

import re
from pathlib import Path

import pytest
from sqlalchemy import event, select

from services.child_protocol import Divergence, EpochReport, Epochs
from services.cohorts.claim import claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish
from services.db.database import Database
from services.db.tables import DiagnosticRow, TrialRow
from services.experiments import store
from services.reports.report import collect
from services.science.spec import ExperimentSpec
from services.settings import Settings

SPEC = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": "he_uniform",
    "epochs": 1,
    "seeds": 3,
    "hypotheses": ["val_loss(relu) < val_loss(tanh)", "diverged(*) < 0.9"],
}


def trained(database: Database, home: Path, *, finished: bool) -> str:
    """An experiment with all epochs of its trials, one of which diverged, and with layers measured."""
    with database.write() as session:
        experiment = store.create(session, ExperimentSpec.model_validate(SPEC), Settings(home=home)).id
        taken = claim(session, "w1", 30.0)
    assert taken is not None
    size = len(taken.trials)
    values = [None if slot == 1 else 0.5 + 0.01 * slot for slot in range(size)]
    start: EpochReport = {"epoch": 0, "seconds": 0.1, "metrics": {"val_loss": [9.0] * size}}
    gone: list[Divergence] = [{"slot": 1, "layer": "loss"}]
    end: EpochReport = {
        "epoch": 1,
        "seconds": 0.1,
        "metrics": {"val_loss": values, "train_loss": values},
        "diverged": gone,
    }
    with database.write() as session:
        report: Epochs = {"type": "epochs", "from": 0, "to": 1, "epochs": [start, end]}
        commit_epochs(session, taken.cohort_id, taken.attempt, report, 30.0)
        if finished:
            finish(session, taken.cohort_id, taken.attempt)
        numbers = {"gradient_norm": 0.5, "distinct_units": 1.0, "units": 4.0}
        session.add_all(
            DiagnosticRow(trial_id=trial, epoch=0, layer="dense_1", layer_index=0, values=numbers)
            for trial in session.scalars(select(TrialRow.id))
        )
    return experiment


@pytest.mark.parametrize("finished", [True, False])
def test_a_report_reads_every_row_of_its_experiment_once(database: Database, tmp_path: Path, *, finished: bool) -> None:
    experiment = trained(database, tmp_path, finished=finished)
    sent: list[str] = []
    with database.read() as session:
        event.listen(session.connection(), "before_cursor_execute", lambda *sending: sent.append(sending[2]))
        report = collect(session, experiment)
    assert report.comparison is not None
    assert report.claims is not None
    assert (len(report.claims.items), len(report.divergences), len(report.symmetry)) == (2, 1, 2)
    assert report.study.diagnostics
    counted = report.experiment.trials
    assert (counted.succeeded, counted.running, counted.diverged) == ((5, 0, 1) if finished else (0, 5, 1))
    assert report.experiment.progress == 1.0
    counts = {
        table: sum(bool(re.search(rf"\b{table}\b", one)) for one in sent)
        for table in ("trials", "epoch_rows", "experiments", "cohorts")
    }
    # The cohorts once for what they took, once for their attempts, and once for the time that is left.
    assert counts == {"trials": 1, "epoch_rows": 1, "experiments": 1, "cohorts": 2 if finished else 3}
    curves = [one for one in sent if re.search(r"\bcurves\b", one)]
    assert len(curves) <= 2, "once for the metrics, and once for the length of what has none of them"
