"""The report of an experiment: one page that needs nothing from elsewhere, no script and no network.

`collect` reads what it tells; `write` draws its figures and puts it together.
"""

import importlib.metadata
import json
from dataclasses import dataclass, replace
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.claims.service import ClaimQuestion, claims
from services.cohorts.states import FINAL
from services.comparisons.service import Question, comparison
from services.db.tables import AttemptRow, CohortRow, TrialRow
from services.errors import ConflictError, InvalidInputError
from services.experiments.service import get
from services.experiments.views import ExperimentView, view
from services.figures.render import Renderer
from services.figures.report_divergence import divergences
from services.figures.report_pictures import layer_figures, metrics_read, needs_layers, pictures
from services.figures.report_reach import ReachRow, last_outputs, reach_rows
from services.figures.report_symmetry import unbroken_symmetry
from services.figures.report_tables import effect_rows, pair_table, ranking_rows
from services.figures.study import load_study
from services.science.claims import ClaimResults
from services.science.figures import Study
from services.science.figures.study import shown
from services.science.statistics.comparison_models import Comparison

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-popups"
ARMS_SHOWN = 60
FAILURES_SHOWN = 60
DISTRIBUTIONS = ("numpy", "scipy", "torch", "sqlalchemy", "celery")


@dataclass(frozen=True)
class Run:
    """How the experiment was carried out."""

    cohorts: int
    attempts: int
    devices: tuple[str, ...]
    seconds: float
    joules: float | None
    energy_method: str | None


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
    asked = question or Question()
    row = get(session, experiment_id)
    try:
        compared = comparison(session, [experiment_id], asked, grams_per_kwh)
    except ConflictError:
        if row.state not in FINAL:
            raise
        compared = None
    try:
        decided = (
            claims(session, experiment_id, ClaimQuestion(asked.confidence)) if row.spec.get("hypotheses") else None
        )
    except InvalidInputError:
        decided = None
    arms = row.trial_count // max(1, len(row.spec["seeds"]))
    wishes = [wish for figure in layer_figures(asked) if (wish := figure.layers())] if needs_layers(arms) else []
    study = load_study(session, experiment_id, metrics_read(asked), layers=wishes)
    return Report(
        experiment=view(session, row),
        comparison=compared,
        study=replace(study, comparison=compared.model_dump(mode="json") if compared else None),
        claims=decided,
        divergences=divergences(session, experiment_id),
        run=_run(session, experiment_id),
        failures=_failures(session, experiment_id),
        symmetry=unbroken_symmetry(session, experiment_id),
        reach=tuple(reach_rows(study.arms, last_outputs(session, experiment_id), asked.confidence))
        if needs_layers(arms)
        else (),
    )


def write(report: Report, renderer: Renderer, question: Question | None = None) -> str:
    """The page.

    Raises:
        BusyError: too many pictures are being drawn.
        UnavailableError: a picture could not be drawn.
    """
    asked = question or Question()
    found = report.comparison
    experiment = report.experiment
    template = _environment().get_template("report.html")
    return template.render(
        experiment=experiment,
        title=shown(experiment.name or "", 200) or f"Experiment {experiment.id}",
        final=experiment.state in FINAL,
        comparison=found,
        confidence=f"{100 * asked.confidence:g} %",
        ranking=ranking_rows(found) if found else [],
        pairs=pair_table(found) if found else None,
        effects=effect_rows(found) if found else [],
        claims=report.claims.items if report.claims else [],
        unread_hypotheses=report.experiment.spec.get("hypotheses") if report.claims is None else None,
        figures=pictures(report.study, asked, renderer, keep=experiment.state in FINAL),
        divergences=report.divergences[:ARMS_SHOWN],
        more_divergences=max(0, len(report.divergences) - ARMS_SHOWN),
        run=report.run,
        failures=report.failures,
        symmetry=report.symmetry,
        reach=report.reach,
        spec=json.dumps(experiment.spec, indent=2, ensure_ascii=False),
        versions=_versions(),
    )


def _failures(session: Session, experiment_id: str) -> tuple[tuple[str, str], ...]:
    query = (
        select(TrialRow.label, TrialRow.seed, TrialRow.error)
        .where(TrialRow.experiment_id == experiment_id, TrialRow.state == "failed")
        .order_by(TrialRow.position)
        .limit(FAILURES_SHOWN)
    )
    return tuple(
        (f"{label}, seed {seed}", str((error or {}).get("detail") or (error or {}).get("code") or "no reason was kept"))
        for label, seed, error in session.execute(query)
    )


def _run(session: Session, experiment_id: str) -> Run:
    cohorts = session.execute(
        select(CohortRow.device, CohortRow.duration_seconds, CohortRow.energy_joules, CohortRow.energy_method).where(
            CohortRow.experiment_id == experiment_id
        )
    ).all()
    attempts = session.scalar(
        select(func.count())
        .select_from(AttemptRow)
        .join(CohortRow, CohortRow.id == AttemptRow.cohort_id)
        .where(CohortRow.experiment_id == experiment_id)
    )
    joules = [float(row.energy_joules) for row in cohorts if row.energy_joules is not None]
    methods = sorted({str(row.energy_method) for row in cohorts if row.energy_method})
    return Run(
        cohorts=len(cohorts),
        attempts=int(attempts or 0),
        devices=tuple(sorted({str(row.device) for row in cohorts if row.device})),
        seconds=sum(float(row.duration_seconds or 0.0) for row in cohorts),
        joules=sum(joules) if len(joules) == len(cohorts) and joules else None,
        energy_method=", ".join(methods) or None,
    )


def _versions() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in ("firstlight", *DISTRIBUTIONS):
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.figures"),
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
