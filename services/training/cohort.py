"""From a start message to a cohort that is ready to train."""

from dataclasses import dataclass
from pathlib import Path

from services import faults
from services.child_protocol import Start
from services.science.datasets import prepare
from services.science.spec import Arm, ExperimentSpec
from services.training.checkpoint import Origin, engine_of
from services.training.choose import build_engine
from services.training.diagnostics import Probe
from services.training.engine import CohortDescription, Engine, Rows, TrialPlan
from services.training.initial import draw_layers
from services.training.measuring import Measuring


@dataclass(frozen=True)
class Cohort:
    """What a start message asks for, built."""

    engine: Engine
    description: CohortDescription
    rows: Rows
    origin: Origin
    measuring: Measuring | None


def build(message: Start, device: str) -> Cohort:
    """Load the data, draw the weights and build the engine.

    With ``auto``, a cohort that resumes goes on with the engine that wrote its checkpoint, where that can be had.

    Raises:
        pydantic.ValidationError: a spec or arm that is not valid.
        services.science.datasets.errors.DatasetUnavailable: a data file is missing.
        services.science.datasets.errors.DatasetInvalid: a data file does not hold what it promised.
        InitializationError: an initializer that refuses a layer.
        ValueError: trials that cannot train together.
    """
    spec = ExperimentSpec.model_validate(message["spec"]).resolved()
    assert spec.model is not None
    assert spec.loss is not None
    trials = sorted(message["trials"], key=lambda trial: trial["slot"])
    if [trial["slot"] for trial in trials] != list(range(len(trials))) or not trials:
        raise ValueError("the trials' slots must be 0, 1, 2, ... without gaps")
    arms = [Arm.model_validate(trial["arm"]) for trial in trials]
    batch_sizes = {arm.batch_size for arm in arms}
    if len(batch_sizes) != 1:
        raise ValueError(f"the trials of a cohort share one batch size, not {sorted(batch_sizes)}")
    for trial in trials:
        faults.point("child.trial", slot=trial["slot"], seed=trial["seed"])
    data = prepare(spec.dataset, Path(message["data_dir"]), download=True)
    description = CohortDescription(
        trials=tuple(
            TrialPlan(arm.activation, arm.initializer, arm.optimizer, trial["seed"])
            for arm, trial in zip(arms, trials, strict=True)
        ),
        model=spec.model,
        loss=spec.loss,
        input_shape=data.x_train.shape[1:],
        outputs=spec.outputs,
        batch_size=batch_sizes.pop(),
        epochs=spec.epochs,
    )
    rows = Rows(data.x_train, data.y_train, data.x_validation, data.y_validation)
    initial = draw_layers(description, data.x_train)
    choice = message["engine"]
    resume = message.get("resume")
    if choice == "auto" and resume is not None:
        choice = engine_of(Path(resume["path"]))
    engine = build_engine(choice, description, initial, rows, device=device, threads=message["threads"])
    measuring = None
    if spec.diagnostics is not None:
        probe = Probe(description, spec.diagnostics, initial, rows, device, engine)
        # The kernel trains without the interpreter; PyTorch's many small calls would wait for it at every turn.
        measuring = Measuring(probe, aside=engine.name == "native")
    identities = tuple((arm.key(), trial["seed"]) for arm, trial in zip(arms, trials, strict=True))
    origin = Origin(spec.digest(), identities, data.digest, engine.name)
    return Cohort(engine, description, rows, origin, measuring)
