"""Gaussian moments against published constants, closed forms and PyTorch's own gains."""

import itertools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from scipy import integrate, special, stats

from services.science.activations import ACTIVATIONS, Activation, BaseActivation
from services.science.activations.moments import gain_note, moments, torch_gain

ADAPTER: TypeAdapter[BaseActivation] = TypeAdapter(Activation)

# kind and parameters; E f, E f^2, std f, E f'^2, 1/rms, 1/std, 1/rms f' under a standard normal.
TABLE = [
    ("relu", {}, 0.398942, 0.5, 0.583819, 0.5, 1.414214, 1.712859, 1.414214),
    ("leaky_relu", {}, 0.394953, 0.500050, 0.586568, 0.500050, 1.414143, 1.704832, 1.414143),
    ("leaky_relu", {"negative_slope": 0.2}, 0.319154, 0.52, 0.646638, 0.52, 1.386750, 1.546460, 1.386750),
    ("leaky_relu", {"negative_slope": 0.3}, 0.279260, 0.545, 0.683384, 0.545, 1.354571, 1.463306, 1.354571),
    ("prelu", {}, 0.299207, 0.53125, 0.664624, 0.53125, 1.371989, 1.504610, 1.371989),
    ("tanh", {}, 0, 0.394294, 0.627929, 0.464403, 1.592537, 1.592537, 1.467414),
    ("lecun_tanh", {}, 0, 0.750430, 0.866274, 0.803989, 1.154369, 1.154369, 1.115257),
    ("sigmoid", {}, 0.5, 0.293379, 0.208276, 0.044836, 1.846229, 4.801313, 4.722646),
    ("hard_sigmoid", {}, 0.5, 0.277639, 0.166250, 0.027703, 1.897840, 6.015034, 6.008116),
    ("hard_tanh", {}, 0, 0.516059, 0.718372, 0.682689, 1.392036, 1.392036, 1.210287),
    ("softsign", {}, 0, 0.183014, 0.427801, 0.227671, 2.337533, 2.337533, 2.095781),
    ("erf", {}, 0, 0.464559, 0.681586, 0.569410, 1.467167, 1.467167, 1.325218),
    ("arctan", {}, 0, 0.449701, 0.670597, 0.5, 1.491208, 1.491208, 1.414214),
    ("sin", {}, 0, 0.432332, 0.657520, 0.567668, 1.520867, 1.520867, 1.327251),
    ("elu", {}, 0.160521, 0.644945, 0.786879, 0.668102, 1.245198, 1.270843, 1.223429),
    ("selu", {}, 0, 1, 1, 1.071575, 1, 1, 0.966026),
    ("gelu", {}, 0.282095, 0.425221, 0.587915, 0.455851, 1.533530, 1.700926, 1.481114),
    ("silu", {}, 0.206621, 0.355776, 0.559538, 0.379482, 1.676532, 1.787187, 1.623320),
    ("hard_silu", {}, 0.166217, 0.331567, 0.551307, 0.358532, 1.736657, 1.813871, 1.670076),
    ("mish", {}, 0.240404, 0.452342, 0.628131, 0.479084, 1.486848, 1.592025, 1.444755),
    ("softplus", {}, 0.806059, 0.921246, 0.521071, 0.293379, 1.041867, 1.919126, 1.846229),
    ("squareplus", {}, 1.109306, 1.5, 0.519077, 0.289315, 0.816497, 1.926495, 1.859149),
    ("squared_relu", {}, 0.5, 1.5, 1.118034, 2, 0.816497, 0.894427, 0.707107),
    ("snake", {}, 0.432332, 1.307374, 1.058519, 1.499832, 0.874581, 0.944716, 0.816542),
    ("tanh_shrink", {}, 0, 0.182883, 0.427649, 0.252992, 2.338368, 2.338368, 1.988139),
]


@pytest.mark.parametrize(("kind", "parameters", "mean", "second", "std", "slope", "gain", "centred", "backward"), TABLE)
def test_moments_at_unit_variance_match_the_published_table(
    kind: str,
    parameters: dict[str, float],
    mean: float,
    second: float,
    std: float,
    slope: float,
    gain: float,
    centred: float,
    backward: float,
) -> None:
    computed = moments(ADAPTER.validate_python({"kind": kind, **parameters}))
    expected = (mean, second, std, slope, gain, centred, backward)
    actual = (
        computed.mean,
        computed.second_moment,
        computed.std,
        computed.derivative_second_moment,
        computed.gain,
        computed.centred_gain,
        computed.derivative_gain,
    )
    assert actual == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("q", [1e-4, 0.3, 1.0, 7.0, 400.0])
def test_closed_forms_hold_at_every_variance(q: float) -> None:
    relu, erf, sin = (moments(ADAPTER.validate_python(kind), q) for kind in ("relu", "erf", "sin"))
    assert relu.mean == pytest.approx(math.sqrt(q / (2 * math.pi)), rel=1e-9)
    assert relu.second_moment == pytest.approx(q / 2, rel=1e-9)
    assert relu.gain == pytest.approx(math.sqrt(2), rel=1e-9)
    # Williams 1997: E erf(x)^2 = 2/pi asin(2 q / (1 + 2 q)).
    assert erf.second_moment == pytest.approx(2 / math.pi * math.asin(2 * q / (1 + 2 * q)), rel=1e-9)
    assert erf.derivative_second_moment == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-9)
    assert sin.second_moment == pytest.approx(-math.expm1(-2 * q) / 2, rel=1e-9)


def test_a_fast_sine_is_resolved() -> None:
    computed = moments(ADAPTER.validate_python({"kind": "siren", "omega_0": 30.0}), 4.0)
    assert computed.second_moment == pytest.approx(0.5, abs=1e-10)
    assert computed.derivative_second_moment == pytest.approx(450.0, rel=1e-10)


def test_exponential_has_its_lognormal_moments_and_says_when_they_overflow() -> None:
    computed = moments(ADAPTER.validate_python("exponential"))
    assert computed.mean == pytest.approx(math.exp(0.5), rel=1e-10)
    assert computed.second_moment == pytest.approx(math.exp(2.0), rel=1e-10)
    with pytest.raises(ValueError, match="exponential has moments beyond float64 at q = 400"):
        moments(ADAPTER.validate_python("exponential"), 400.0)


@pytest.mark.parametrize("q", [0.0, -1.0, math.nan, math.inf])
def test_a_variance_that_is_none_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="q must be a finite number above 0"):
        moments(ADAPTER.validate_python("relu"), q)


@pytest.mark.parametrize("kind", [kind for kind, member in ACTIVATIONS.items() if member.width_factor == 1])
def test_every_member_agrees_with_adaptive_quadrature(kind: str) -> None:
    activation = ADAPTER.validate_python(kind)
    q = 1.7
    edges = [-12.0, *(k / math.sqrt(q) for k in activation.kinks if abs(k) < 12 * math.sqrt(q)), 12.0]

    def weighted(z: float) -> float:
        return float(activation(math.sqrt(q) * z)) ** 2 * float(stats.norm.pdf(z))

    if kind == "siren":
        expected = -math.expm1(-2 * 900 * q) / 2
    else:
        expected = sum(integrate.quad(weighted, a, b, limit=400, epsabs=1e-10)[0] for a, b in itertools.pairwise(edges))
    assert moments(activation, q).second_moment == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("kind", "gate"),
    [
        ("glu", special.expit),
        ("reglu", lambda b: np.maximum(b, 0.0)),
        ("geglu", lambda b: b * special.ndtr(b)),
        ("swiglu", lambda b: b * special.expit(b)),
        ("bilinear", lambda b: b),
    ],
)
@pytest.mark.parametrize("q", [0.3, 1.0, 4.0])
def test_the_gain_of_gated_units_against_quadrature_over_both_halves(
    kind: str, gate: Callable[[np.ndarray], np.ndarray], q: float
) -> None:
    # E[(a g(b))^2] over the plane, by a product rule that has the kink at b = 0 at an end of both its pieces.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = np.concatenate([5.0 * nodes - 5.0, 5.0 * nodes + 5.0])
    density = np.tile(5.0 * weights, 2) * stats.norm.pdf(x)
    a, b = math.sqrt(q) * x[:, None], math.sqrt(q) * x[None, :]
    second = float(density @ np.square(a * gate(b)) @ density)
    computed = moments(ADAPTER.validate_python(kind), q)
    assert computed.second_moment == pytest.approx(second, rel=1e-9)
    assert computed.gain == pytest.approx(math.sqrt(q / second), rel=1e-9)


def test_gains_of_gated_units_in_closed_form() -> None:
    assert moments(ADAPTER.validate_python("bilinear")).gain == pytest.approx(1.0, rel=1e-10)
    assert moments(ADAPTER.validate_python("reglu")).gain == pytest.approx(math.sqrt(2.0), rel=1e-10)


@pytest.mark.parametrize("kind", ["glu", "reglu", "geglu", "swiglu", "bilinear"])
def test_gated_units_match_a_sample_of_two_independent_halves(kind: str) -> None:
    activation = ADAPTER.validate_python(kind)
    q = 2.0
    x = np.random.Generator(np.random.Philox(7)).normal(0.0, math.sqrt(q), (400_000, 2))
    computed = moments(activation, q)
    value, slope = activation.value(x), activation.derivative(x)
    # Five standard errors of each sample mean: a false alarm in about one run of a million.
    for sample, theory in (
        (value[:, 0], computed.mean),
        (value[:, 0] ** 2, computed.second_moment),
        ((slope**2).sum(axis=1), computed.derivative_second_moment),
    ):
        assert abs(sample.mean() - theory) < 5 * sample.std() / math.sqrt(len(sample))


@pytest.mark.parametrize(
    ("member", "torch_name", "parameter"),
    [
        ("identity", "linear", None),
        ("sigmoid", "sigmoid", None),
        ("tanh", "tanh", None),
        ("relu", "relu", None),
        ({"kind": "leaky_relu", "negative_slope": 0.2}, "leaky_relu", 0.2),
        ("selu", "selu", None),
    ],
)
def test_torch_gain_is_what_torch_says(
    member: object,
    torch_name: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
    parameter: float | None,
) -> None:
    assert torch_gain(ADAPTER.validate_python(member)) == pytest.approx(
        torch.nn.init.calculate_gain(torch_name, parameter), rel=1e-12
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("relu", "agrees: 1.4142"),
        ("tanh", "says 1.6667; 1.5925 keeps"),
        ("gelu", "knows no gain for it; 1.5335 keeps"),
    ],
)
def test_the_note_names_both_gains(kind: str, words: str) -> None:
    assert words in gain_note(ADAPTER.validate_python(kind))


def test_every_member_has_a_gain() -> None:
    for kind in ACTIVATIONS:
        computed = moments(ADAPTER.validate_python(kind))
        assert computed.gain is not None
        assert computed.gain > 0
