"""The report of an experiment: one page that needs nothing from elsewhere, no script and no network.

`collect` reads what it tells; `write` draws its figures and puts it together.
"""

import importlib.metadata
import json
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.orm import Session

from services.comparisons.comparison import Question, compare_results
from services.db.tables import ExperimentRow
from services.errors import ConflictError, InvalidInputError
from services.experiments.store import get
from services.experiments.views import ExperimentView, view
from services.figures.render import Renderer
from services.figures.study_loader import study_of
from services.hypotheses.decisions import HypothesisQuestion, StoredHypotheses, decide_hypotheses, stored_hypotheses
from services.reports.divergence import divergences
from services.reports.pictures import layer_figures, metrics_read, needs_layers, pictures
from services.reports.reach import ReachRow, last_outputs, reach_rows
from services.reports.rounds import rounds_sentence
from services.reports.symmetry import unbroken_symmetry
from services.reports.tables import effect_rows, pair_table, ranking_rows
from services.results.loader import load_results
from services.results.run import Run, load_run
from services.science.comparison.models import Comparison
from services.science.figures import Study
from services.science.figures.study import shown
from services.science.hypotheses import ClaimResults
from services.science.results import CurveWish, ExperimentResults
from services.states import FINAL

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-popups"
ARMS_SHOWN = 60
FAILURES_SHOWN = 60
DISTRIBUTIONS = ("numpy", "scipy", "torch", "sqlalchemy", "celery")


@dataclass(frozen=True)
class Report:
    """Everything that a report tells; `comparison` is None where a final experiment has nothing to compare."""

    experiment: ExperimentView
    comparison: Comparison | None
    study: Study
    claims: ClaimResults | None
    divergences: tuple[str, ...]
    """A line for each arm with trials that diverged."""
    run: Run
    failures: tuple[tuple[str, str], ...]
    symmetry: tuple[str, ...] = ()
    """A sentence for each arm with layers whose units never came to differ."""
    reach: tuple[ReachRow, ...] = ()


def collect(
    session: Session, experiment_id: str, question: Question | None = None, grams_per_kwh: float | None = None
) -> Report:
    """Read an experiment as far as it is done.

    Args:
        session: any session.
        experiment_id: whose report.
        question: what the comparison answers; default: that of `Question`.
        grams_per_kwh: CO2 equivalent of the electricity.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it is not final and no trial is finished yet.
    """
    choice = question or Question()
    row = get(session, experiment_id)
    claimed = _claims(row)
    results = load_results(session, row, CurveWish(_metrics(choice, claimed)))
    try:
        compared = compare_results([results], choice, grams_per_kwh)
    except ConflictError:
        if row.state not in FINAL:
            raise
        compared = None
    layered = needs_layers(len(results.arms))
    wishes = [wish for figure in layer_figures(choice) if (wish := figure.layers())] if layered else []
    outputs = last_outputs(session, results.arms) if layered else []
    return Report(
        experiment=view(session, row, results),
        comparison=compared,
        study=study_of(session, row, results, wishes, compared),
        claims=_decided(claimed, results, choice),
        divergences=divergences(results),
        run=load_run(session, experiment_id),
        failures=tuple(
            (f"{arm.label}, seed {trial.seed}", trial.error or "no reason was kept")
            for arm, trial in results.failures[:FAILURES_SHOWN]
        ),
        symmetry=unbroken_symmetry(session, results),
        reach=tuple(reach_rows(results.arms, outputs, choice.confidence)),
    )


def _claims(row: ExperimentRow) -> StoredHypotheses | None:
    """What the experiment claims; None where it claims nothing, or nothing that this version understands."""
    try:
        return stored_hypotheses(row) if row.spec.get("hypotheses") else None
    except InvalidInputError:
        return None


def _decided(claimed: StoredHypotheses | None, results: ExperimentResults, question: Question) -> ClaimResults | None:
    try:
        return decide_hypotheses(claimed, results, HypothesisQuestion(question.confidence)) if claimed else None
    except InvalidInputError:
        return None


def _metrics(question: Question, claimed: StoredHypotheses | None) -> tuple[str, ...]:
    """Every metric whose curves a part of the report reads, so that they are read once."""
    spoken_of = claimed.curves().metrics if claimed else ()
    return tuple(dict.fromkeys((*question.metrics(), *metrics_read(question), *spoken_of)))


def write(report: Report, renderer: Renderer, question: Question | None = None) -> str:
    """The page.

    Raises:
        BusyError: too many pictures are being drawn.
        UnavailableError: a picture could not be drawn.
    """
    choice = question or Question()
    comparison = report.comparison
    experiment = report.experiment
    template = _environment().get_template("report.html")
    return template.render(
        experiment=experiment,
        study=report.study,
        title=shown(experiment.name or "", 200) or f"Experiment {experiment.id}",
        final=experiment.state in FINAL,
        comparison=comparison,
        confidence=f"{100 * choice.confidence:g} %",
        ranking=ranking_rows(comparison) if comparison else [],
        pairs=pair_table(comparison) if comparison else None,
        effects=effect_rows(comparison) if comparison else [],
        claims=report.claims.items if report.claims else [],
        unread_hypotheses=report.experiment.spec.get("hypotheses") if report.claims is None else None,
        figures=pictures(report.study, choice, renderer, keep=experiment.state in FINAL),
        divergences=report.divergences[:ARMS_SHOWN],
        more_divergences=max(0, len(report.divergences) - ARMS_SHOWN),
        run=report.run,
        failures=report.failures,
        rounds=rounds_sentence(experiment.rounds, experiment.spec),
        symmetry=report.symmetry,
        reach=report.reach,
        spec=json.dumps(experiment.spec, indent=2, ensure_ascii=False),
        versions=_versions(),
    )


def _versions() -> list[tuple[str, str]]:
    versions: list[tuple[str, str]] = []
    for name in ("firstlight", *DISTRIBUTIONS):
        try:
            versions.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["one_line"] = one_line
    environment.filters["moment"] = moment
    environment.filters["duration"] = duration
    return environment


def one_line(value: object) -> str:
    """A user's text without control characters, cut to a readable length."""
    return shown(str(value), 600)


def moment(value: datetime | None) -> str:
    """A time in UTC; a dash for what has not happened."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else "–"


def duration(seconds: float) -> str:
    """Seconds in the units a reader thinks in."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
