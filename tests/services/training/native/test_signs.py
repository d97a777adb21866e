"""Residuals under the absolute loss whose sign float32 cannot tell."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from services.science.streams import Purpose, stream
from services.training.native.between import Between
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort
from services.training.native.numbers import RESIDUALS

ROWS = 40
RATE = 2.0**-6
SEED, WORD = 11, 7
Numbers = NDArray[np.floating]


def swiglu(z: Numbers) -> Numbers:
    value, gate = np.split(z, 2, axis=1)
    return value * gate / (1 + np.exp(-gate))


FORMULAS: dict[str, Callable[[Numbers], Numbers]] = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "prelu": lambda z: np.where(z > 0, z, z / 4),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2).astype(z.dtype))) / 2,
    "swiglu": swiglu,
}
CASES = [
    *((kind, Between()) for kind in FORMULAS),
    ("tanh", Between(dropout=0.2)),
    ("sigmoid", Between(norm="layer")),
    ("prelu", Between(norm="layer", after=True, residual=True, dropout=0.1)),
    ("swiglu", Between(norm="layer", residual=True, dropout=0.4)),
]


def forward(layers: list[Numbers], x: Numbers, kind: str, between: Between) -> tuple[Numbers, Numbers]:
    """What goes into the last layer and what comes out, as precise as the layers ``[fan_in + 1, fan_out]``."""
    rng = np.random.Generator(np.random.Philox(key=np.array([SEED, WORD], dtype=np.uint64)))

    def norm(v: Numbers, after: bool) -> Numbers:
        if between.norm == "none" or between.after != after:
            return v
        return (v - v.mean(1, keepdims=True)) / np.sqrt(v.var(1, keepdims=True) + np.float32(1e-3))

    h = x.astype(layers[0].dtype)
    for layer in layers[:-1]:
        a = norm(FORMULAS[kind](norm(h @ layer[:-1] + layer[-1], after=False)), after=True)
        if between.dropout:
            a = a * ((rng.random(a.shape, dtype=np.float32) >= np.float32(between.dropout)) / (1 - between.dropout))
        h = a + h if between.residual and a.shape == h.shape else a
    return h, h @ layers[-1][:-1] + layers[-1][-1]


def exact_layers(cohort: NativeCohort) -> list[Numbers]:
    """The only trial's compensated weights."""
    pairs = zip(cohort.layer_views(), cohort.layer_views(RESIDUALS), strict=True)
    return [w[0].astype(np.float64) + rest[0].astype(np.float64) for w, rest in pairs]


def made(kind: str, between: Between, batch_size: int = ROWS, width: int = 12) -> NativeCohort:
    """One trial with weights that hold more than float32's digits."""
    widths, doubled = (5, width, width, 2), 2 if kind == "swiglu" else 1
    rule = {"kind": "sgd", "learning_rate": RATE}
    description = NativeDescription(widths, "mae", batch_size, [{"kind": kind}], [rule], between=between)
    rng = stream(0, Purpose.WEIGHTS)
    shapes = [(5, width * doubled), (width, width * doubled), (width, 2)]
    weights = [rng.normal(0, a**-0.5, (1, a, b)).astype(np.float32) for a, b in shapes]
    cohort = NativeCohort(description, weights, [rng.normal(0, 0.1, (1, b)).astype(np.float32) for _, b in shapes])
    for w, rest in zip(cohort.layer_views(), cohort.layer_views(RESIDUALS), strict=True):
        rest[...] = w * rng.uniform(-(2.0**-25), 2.0**-25, w.shape)
    return cohort


@pytest.mark.parametrize(("kind", "between"), CASES)
def test_a_residual_within_rounding_of_zero_has_the_sign_of_float64(kind: str, between: Between) -> None:
    cohort = made(kind, between)
    before = exact_layers(cohort)
    x = stream(1, Purpose.SYNTHETIC).normal(size=(ROWS, 5)).astype(np.float32)
    h, outputs = forward(before, x, kind, between)
    y = outputs.astype(np.float32)
    signs = np.sign(outputs - y)
    rounded = forward([layer.astype(np.float32) for layer in before], x, kind, between)[1]
    assert (np.sign(rounded - y) != signs).mean() > 0.2
    cohort.set_training_rows(x, y)
    order = np.arange(ROWS, dtype=np.int32)[None]
    assert cohort.run_epoch(order, dropout=(np.array([SEED], dtype=np.uint64), WORD)).whole
    gradient = (before[-1] - exact_layers(cohort)[-1]) / RATE
    expected = np.vstack([h.T @ signs, signs.sum(axis=0)]) / (2 * ROWS)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("rows", "width"), [(1, 12), (7, 12), (16, 12), (17, 12), (64, 12), (75, 12), (150, 260)])
def test_the_right_rows_are_taken_however_a_batch_is_cut(rows: int, width: int) -> None:
    """One row of the batch is doubtful, and its float32 residual tells nothing; the others are far from zero."""
    x = stream(2, Purpose.SYNTHETIC).normal(size=(rows, 5)).astype(np.float32)
    order = stream(3, Purpose.ORDER).permutation(rows).astype(np.int32)
    for doubtful in {0, rows // 2, rows - 1}:
        cohort = made("tanh", Between(), rows, width)
        before = exact_layers(cohort)
        h, outputs = forward(before, x, "tanh", Between())
        y = (outputs + 0.5).astype(np.float32)
        y[doubtful] = outputs[doubtful].astype(np.float32)
        signs = np.sign(outputs - y)
        cohort.set_training_rows(x, y)
        assert cohort.run_epoch(order[None]).whole
        gradient = (before[-1] - exact_layers(cohort)[-1]) / RATE
        expected = np.vstack([h.T @ signs, signs.sum(axis=0)]) / (2 * rows)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5)


def test_larger_targets_put_larger_residuals_in_doubt() -> None:
    """Beside targets of 100 a residual of 4e-6 is within rounding, and float32 alone is that far off."""
    cohort = made("tanh", Between(), ROWS)
    x = stream(4, Purpose.SYNTHETIC).normal(size=(ROWS, 5)).astype(np.float32)
    cohort.layer_views()[-1][0, -1] = 100.0
    before = exact_layers(cohort)
    h, outputs = forward(before, x, "tanh", Between())
    y = outputs.astype(np.float32)
    signs = np.sign(outputs - y)
    assert np.abs(outputs - y).max() > 2e-6
    cohort.set_training_rows(x, y)
    assert cohort.run_epoch(np.arange(ROWS, dtype=np.int32)[None]).whole
    gradient = (before[-1] - exact_layers(cohort)[-1]) / RATE
    expected = np.vstack([h.T @ signs, signs.sum(axis=0)]) / (2 * ROWS)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5)
