"""A small grid to make claims about, and made-up measurements of it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from services.science.grid import Grid, expand
from services.science.hypotheses import Terms
from services.science.hypotheses.metrics import CLASSIFICATION
from services.science.results import ArmResults, ExperimentResults, TrialResult
from services.science.spec import ExperimentSpec

EPOCHS = 4
SPEC = ExperimentSpec.model_validate(
    {
        "dataset": "digits",
        "activation": ["relu", "tanh", {"kind": "leaky_relu", "negative_slope": 0.1}],
        "initializer": ["he_uniform", "glorot_uniform"],
        "optimizer": {"kind": "sgd", "learning_rate": [0.01, 0.1]},
        "epochs": EPOCHS,
        "seeds": 10,
    }
)

STATES = {"diverged": "diverged", "missing": "failed"}

Measure = Callable[..., ExperimentResults]


@pytest.fixture(scope="session")
def grid() -> Grid:
    return expand(SPEC)


@pytest.fixture(scope="session")
def terms(grid: Grid) -> Terms:
    return Terms(grid.arms, CLASSIFICATION, EPOCHS)


@pytest.fixture(scope="session")
def measure() -> Measure:
    """Build data from each arm's curves `[seeds, epochs + 1]`; a word in the place of a curve is the outcome."""

    def build(metric: str, arms: Sequence[Sequence[object]], **others: object) -> ExperimentResults:
        states: list[list[str]] = []
        table: list[list[Sequence[float]]] = []
        width = max(len(run) for arm in arms for run in arm if not isinstance(run, str))  # type: ignore[arg-type]
        for arm in arms:
            states.append([STATES[run] if isinstance(run, str) else "succeeded" for run in arm])
            table.append([[np.nan] * width if isinstance(run, str) else list(run) for run in arm])  # type: ignore[arg-type]
        curves = {metric: np.array(table, dtype=np.float64)}
        curves |= {name: np.asarray(values, dtype=np.float64) for name, values in others.items()}
        results = tuple(
            ArmResults(
                key=f"key {i}",
                label=f"arm {i}",
                trials=tuple(TrialResult(f"trl_{i}_{seed}", seed, state) for seed, state in enumerate(own)),
                curves={name: values[i] for name, values in curves.items()},
            )
            for i, own in enumerate(states)
        )
        return ExperimentResults(id="exp_1", name=None, epochs=width - 1, arms=results)

    return build
