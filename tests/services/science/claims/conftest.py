"""A small grid to make claims about, and made-up measurements of it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from services.science.claims import ClaimData, Terms
from services.science.claims.metrics import CLASSIFICATION
from services.science.grid import Grid, expand
from services.science.spec import ExperimentSpec
from services.science.statistics.comparison_input import Outcome

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

Measure = Callable[..., ClaimData]


@pytest.fixture(scope="session")
def grid() -> Grid:
    return expand(SPEC)


@pytest.fixture(scope="session")
def terms(grid: Grid) -> Terms:
    return Terms(grid.arms, CLASSIFICATION, EPOCHS)


@pytest.fixture(scope="session")
def measure() -> Measure:
    """Build data from each arm's curves `[seeds, epochs + 1]`; a word in the place of a curve is the outcome."""

    def build(metric: str, arms: Sequence[Sequence[object]], **others: object) -> ClaimData:
        outcomes: list[list[Outcome]] = []
        table: list[list[Sequence[float]]] = []
        width = max(len(run) for arm in arms for run in arm if not isinstance(run, str))  # type: ignore[arg-type]
        for arm in arms:
            outcomes.append([Outcome(run) if isinstance(run, str) else Outcome.FINISHED for run in arm])
            table.append([[np.nan] * width if isinstance(run, str) else list(run) for run in arm])  # type: ignore[arg-type]
        curves = {metric: np.array(table, dtype=np.float64)}
        curves |= {name: np.asarray(values, dtype=np.float64) for name, values in others.items()}
        return ClaimData([f"arm {i}" for i in range(len(arms))], outcomes, curves, width - 1)

    return build
