"""From results to a study: the arms of an experiment as a figure reads them, with what their axes are called."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from services.comparisons.comparison import Question, compare_results
from services.db.tables import ExperimentRow
from services.experiments.store import get
from services.results.layer_loader import read_layers
from services.results.loader import load_results
from services.results.stored_spec import stored_spec
from services.science.comparison.models import Comparison
from services.science.figures import Part, Study
from services.science.grid import AXES, SEPARATOR, axis_names
from services.science.results import ArmResults, CurveWish, ExperimentResults, LayerWish
from services.science.spec import Arm


def load_study(
    session: Session,
    experiment_id: str,
    metrics: Collection[str] = (),
    parts: Collection[Part] = (),
    layers: Sequence[LayerWish] = (),
    question: Question | None = None,
) -> Study:
    """Read what a figure needs.

    Args:
        session: any session.
        experiment_id: whose.
        metrics: curves to read.
        parts: what else to read: the comparison that answers `question`.
        layers: which numbers of the layers to read.
        question: for the comparison; default: that of `Question`.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: a comparison is wanted and no trial is finished.
        NoFigureDataError: `layers` asks for an epoch or an arm that was not measured.
    """
    experiment = get(session, experiment_id)
    choice = question or Question()
    compared = "comparison" in parts
    metric_names = dict.fromkeys((*metrics, *(choice.metrics() if compared else ())))
    results = load_results(session, experiment, CurveWish(tuple(metric_names), finished=not metrics))
    answer = compare_results([results], choice) if compared else None
    return study_of(session, experiment, results, layers, answer)


def study_of(
    session: Session,
    experiment: ExperimentRow,
    results: ExperimentResults,
    layers: Sequence[LayerWish] = (),
    comparison: Comparison | None = None,
) -> Study:
    """Results that are loaded already, with what figures read besides them.

    Raises:
        NoFigureDataError: `layers` asks for an epoch or an arm that was not measured.
    """
    spec = stored_spec(experiment)
    records, left_out = read_layers(session, results.arms, layers)
    return Study(
        id=results.id,
        name=results.name,
        epochs=results.epochs,
        arms=with_axes(results.arms),
        dataset=experiment.dataset,
        task=spec.dataset.task,
        loss=str(experiment.spec.get("loss") or ""),
        varying=tuple(experiment.axes),
        standardized=spec.dataset.standardize,
        comparison=None if comparison is None else comparison.model_dump(mode="json"),
        diagnostics=records,
        layers_left_out=left_out,
    )


def with_axes(arms: Sequence[ArmResults]) -> tuple[ArmResults, ...]:
    """The arms with their members, and with what each axis is called: as the stored labels call it."""
    read = [Arm.model_validate(arm.arm) for arm in arms]
    named = axis_names(read)
    if not all(set(arm.label.split(SEPARATOR)) <= set(own.values()) for arm, own in zip(arms, named, strict=True)):
        # Stored before a varied parameter was named where it has its default value.
        named = [{axis: arm.shown([axis]) for axis in AXES} for arm in read]
    return tuple(
        replace(arm, axes=own, members={"activation": one.activation, "initializer": one.initializer})
        for arm, own, one in zip(arms, named, read, strict=True)
    )
