"""The founding exercise on initialization, its published accuracies and costs to the digit.

Improving Deep Neural Networks, week 1, deeplearning.ai: two circles, a network 2-10-5-1 of relu, relu and a sigmoid,
15,000 steps of full-batch descent at 0.01 from seven starts, the random ones drawn after `numpy.random.seed(3)`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_circles

from services.science.presets.circles_exercise import CIRCLES_EXERCISE
from services.training.choose import Choice
from services.training.engine import CohortDescription, LayerParameters, Rows
from tests.support.training import engine_of, prepared

ITERATIONS = 15_000
"""More than a spec may ask for."""
NAMES = ("zeros", "constant", 0.01, 1.0, 10.0, "xavier_fan_in", "he")
"""The seven starts, as the preset lists them; the last five by their scale."""

ACCURACIES = {
    "zeros": ("0.5000", "0.50"),
    "constant": ("0.5800", "0.59"),
    0.01: ("0.4633", "0.48"),
    1.0: ("0.9967", "0.96"),
    10.0: ("0.8300", "0.86"),
    "xavier_fan_in": ("0.9900", "0.93"),
    "he": ("0.9933", "0.96"),
}
"""Published: of the 300 training and the 100 test rows, after the last step."""
COSTS = {
    "zeros": {0: 0.6931, 1000: 0.6931, 14_000: 0.6931},
    "constant": {0: 1.7876, 14_000: 0.6485},
    0.01: {0: 0.6931, 14_000: 0.6931},
    1.0: {0: 1.9698, 1000: 0.6895, 14_000: 0.0637},
    "xavier_fan_in": {0: 0.7295, 1000: 0.6939, 14_000: 0.1085},
    "he": {0: 0.8831, 1000: 0.6880, 2000: 0.6751, 3000: 0.6526, 14_000: 0.0736},
}
"""Published, by iteration. Those of randn * 10 begin at infinity, see below."""


@dataclass
class Exercise:
    """Costs ``[iterations, starts]`` and the last parameters of the seven starts."""

    costs: np.ndarray
    parameters: tuple[LayerParameters, ...]
    rows: Rows

    def logits(self, start: int, x: np.ndarray) -> np.ndarray:
        """The output of one network, worked out in float64."""
        h = x.astype(np.float64)
        for place, layer in enumerate(self.parameters):
            h = np.maximum(h, 0) if place else h
            h = h @ layer.weight[start].astype(np.float64) + layer.bias[start]
        return h[:, 0]


def cohort(data_dir: Path) -> tuple[CohortDescription, Rows]:
    description, rows = prepared(CIRCLES_EXERCISE.spec, data_dir)
    return replace(description, epochs=ITERATIONS), rows


def descend(description: CohortDescription, rows: Rows, engine: Choice, iterations: int) -> Exercise:
    """One epoch of one batch is one iteration, and its training loss the cost before the step."""
    built = engine_of(description, rows, engine)
    costs = []
    for epoch in range(1, iterations + 1):
        sums = built.train_epoch(epoch, lambda _: False)
        assert sums is not None
        costs.append(sums.loss / sums.rows)
    return Exercise(np.array(costs), built.parameters(), rows)


@pytest.fixture(scope="module")
def exercise(data_dir: Path) -> Exercise:
    return descend(*cohort(data_dir), "native", ITERATIONS)


def test_the_rows_are_those_of_the_exercise(data_dir: Path) -> None:
    _, rows = cohort(data_dir)
    ours = ((1, 300, rows.x_train, rows.y_train), (2, 100, rows.x_validation, rows.y_validation))
    for seed, count, x, y in ours:
        state = np.random.get_state()
        try:
            np.random.seed(seed)  # noqa: TID251 - as the exercise does
            points, classes = map(np.asarray, make_circles(n_samples=count, noise=0.05))
        finally:
            np.random.set_state(state)
        np.testing.assert_array_equal(x, points.astype(np.float32))
        np.testing.assert_array_equal(y, classes)


def test_the_preset_has_these_starts_and_gives_the_points_as_they_are(data_dir: Path) -> None:
    description, rows = cohort(data_dir)
    scales = [getattr(trial.initializer, "scale", trial.initializer.kind) for trial in description.trials]
    assert scales == list(NAMES)
    assert [layer.shape for layer in description.weight_layers] == [(2, 10), (10, 5), (5, 1)]
    assert not np.allclose(rows.x_train.std(axis=0), 1.0, atol=0.1)


@pytest.mark.parametrize("start", NAMES)
def test_the_accuracies_are_the_published_ones(exercise: Exercise, start: str | float) -> None:
    rows, place = exercise.rows, NAMES.index(start)
    trained, tested = (
        np.mean((exercise.logits(place, x) > 0) == (y == 1))
        for x, y in ((rows.x_train, rows.y_train), (rows.x_validation, rows.y_validation))
    )
    assert (f"{trained:.4f}", f"{tested:.2f}") == ACCURACIES[start]


@pytest.mark.parametrize("start", list(COSTS))
def test_the_costs_are_the_published_ones(exercise: Exercise, start: str | float) -> None:
    place = NAMES.index(start)
    costs = {iteration: exercise.costs[iteration, place] for iteration in COSTS[start]}
    assert costs == pytest.approx(COSTS[start], abs=6e-5)  # half of the last digit, and rounding


def test_a_large_start_costs_much_but_not_infinitely_much(exercise: Exercise) -> None:
    """The exercise prints inf: its sigmoid rounds to 0 or 1, of which it takes the logarithm. The cost is finite.

    Logits of thousands leave float32 no digits for small changes, so the costs after it agree to fewer digits.
    """
    costs = exercise.costs[:, NAMES.index(10.0)]
    assert costs[0] == pytest.approx(1773.59, abs=0.01)
    assert [costs[1000], costs[2000], costs[14_000]] == pytest.approx([0.6250, 0.5981, 0.3828], abs=3e-3)


def test_equal_weights_stay_equal(exercise: Exercise) -> None:
    weight = exercise.parameters[0].weight[NAMES.index("constant")]
    np.testing.assert_array_equal(weight, np.repeat(weight[:, :1], 10, axis=1))
    assert not any(layer.weight[NAMES.index("zeros")].any() for layer in exercise.parameters)


def test_both_engines_take_the_same_path(data_dir: Path) -> None:
    steps = 300
    native, eager = (descend(*cohort(data_dir), engine, steps) for engine in ("native", "eager"))
    calm = [place for place, name in enumerate(NAMES) if name != 10.0]
    np.testing.assert_allclose(native.costs[:, calm], eager.costs[:, calm], rtol=2e-5)
    np.testing.assert_allclose(native.costs[0], eager.costs[0], rtol=2e-5)
    for ours, theirs in zip(native.parameters, eager.parameters, strict=True):
        np.testing.assert_allclose(ours.weight[calm], theirs.weight[calm], atol=1e-4)
