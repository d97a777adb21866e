import numpy as np
import pytest

from services.science.activations.base import BaseActivation
from services.science.activations.exponential_linear import Elu, Selu
from services.science.activations.gated_linear import GeGlu, Glu
from services.science.activations.rectifiers import Relu
from services.science.activations.self_gated import Gelu, Silu
from services.science.activations.sigmoidal import Sigmoid, Tanh
from services.science.activations.softplus_family import Exponential, Softplus
from services.science.streams import Purpose, stream
from services.science.theory.maps import (
    chi_1,
    correlation_map,
    derivative_moment,
    fixed_point,
    scale_exponent,
    second_moment,
    variance_map,
    variance_slope,
)


def test_relu_correlation_map() -> None:
    for c, expected in ((0.0, 0.318310), (0.5, 0.608998), (0.9, 0.909538), (-1.0, 0.0)):
        assert correlation_map(Relu(), 1.3, c, 2.0) == pytest.approx(expected, abs=1e-6)
    c = 0.0
    for layer in range(1, 101):
        c = correlation_map(Relu(), 1.0, c, 2.0)
        if (
            expected := {1: 0.318310, 2: 0.493731, 5: 0.735946, 10: 0.871536, 50: 0.987862, 100: 0.996423}.get(layer)
        ) is not None:
            assert c == pytest.approx(expected, abs=2e-6)


TANH = {
    1.0: (0.19359, 0.75903, 1.0, 3.627),
    1.3: (0.31532, 0.88016, 1.0, 7.834),
    1.5: (0.41804, 0.93864, 1.0, 15.79),
    1.7: (0.53308, 0.98674, 1.0, 74.9),
    1.76: (0.56946, 0.99980, 1.0, 4912),
    1.8: (0.59413, 1.00822, 0.95041, 125.8),
    2.0: (0.72176, 1.04767, 0.74408, 25.2),
    2.5: (1.06396, 1.13352, 0.44680, 11.80),
    3.0: (1.42801, 1.20893, 0.29932, 9.05),
    4.0: (2.19549, 1.34240, 0.16506, 6.98),
}


@pytest.mark.parametrize("weight", TANH)
def test_tanh_depth_scales_at_the_bias_of_schoenholz(weight: float) -> None:
    q, chi, c, depth = TANH[weight]
    point = fixed_point(Tanh(), weight, 0.05)
    assert point.q_star == pytest.approx(q, abs=1e-5)
    assert point.chi_1 == pytest.approx(chi, abs=1e-5)
    assert point.c_star == pytest.approx(c, abs=1e-5)
    assert point.correlation_depth == pytest.approx(depth, rel=3e-3)
    assert point.trainable_depth == pytest.approx(6 * depth, rel=3e-3)
    assert point.phase == ("critical" if weight == 1.76 else "ordered" if weight < 1.76 else "chaotic")


@pytest.mark.parametrize(
    ("activation", "weight", "bias"),
    [(Tanh(), 1.5, 0.05), (Tanh(), 3.0, 0.2), (Gelu(), 1.5, 0.1), (Softplus(), 1.0, 0.0), (Selu(), 1.0, 0.0)],
)
def test_the_fixed_point_is_where_iteration_ends(activation: Tanh, weight: float, bias: float) -> None:
    q = 1.0
    for _ in range(400):
        q = variance_map(activation, q, weight, bias)
    point = fixed_point(activation, weight, bias)
    assert point.q_star == pytest.approx(q, rel=1e-6)
    step = 1e-4 * q
    numeric = variance_map(activation, q + step, weight) - variance_map(activation, q - step, weight)
    assert variance_slope(activation, q, weight) == pytest.approx(numeric / (2 * step), rel=1e-5)


def test_limits_that_are_not_inside() -> None:
    assert fixed_point(Relu(), 1.0).q_star == 0.0
    assert fixed_point(Relu(), 1.0).phase == "ordered"
    exploding = fixed_point(Relu(), 3.0)
    assert (exploding.q_star, exploding.chi_1, exploding.phase) == (None, pytest.approx(1.5), "chaotic")
    point = fixed_point(Relu(), 2.0, start=0.3)
    assert (point.q_star, point.phase, point.trainable_depth) == (0.3, "critical", None)
    assert fixed_point(Tanh(), 1.0).phase == "critical"
    beyond = fixed_point(Exponential(), 2.0)
    assert (beyond.chi_1, beyond.phase) == (None, "chaotic")
    sigmoid = fixed_point(Sigmoid(), 1.0)
    assert sigmoid.chi_1 == pytest.approx(0.0557, abs=1e-4)
    assert fixed_point(Selu(), 1.0).chi_1 == pytest.approx(1.071575, abs=1e-6)
    assert fixed_point(Elu(), 1.0).q_star == pytest.approx(0.0, abs=1e-6)


def test_half_stable_points_of_the_literature() -> None:
    """Roberts, Yaida and Hanin (2022), The principles of deep learning theory: both susceptibilities are 1 there."""
    points = ((Gelu(), 1.98305826, 0.17292239, 3.561553), (Silu(), 1.98800468, 0.55514317, 14.320174))
    for activation, weight, bias, q in points:
        assert variance_map(activation, q, weight, bias) == pytest.approx(q, rel=1e-6)
        assert chi_1(activation, q, weight) == pytest.approx(1.0, abs=1e-6)
        assert variance_slope(activation, q, weight) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("activation", [Glu(), GeGlu()])
def test_gated_units_against_simulation(activation: Glu | GeGlu) -> None:
    q = 1.7
    halves = stream(1, Purpose.RESAMPLING).normal(0, np.sqrt(q), (2, 400_000))
    values = activation.gate.value(halves[1]) * halves[0]
    assert second_moment(activation, q) == pytest.approx(np.mean(values**2), rel=0.02)
    slopes = activation.gate.value(halves[1]) ** 2 + (halves[0] * activation.gate.derivative(halves[1])) ** 2
    assert derivative_moment(activation, q) == pytest.approx(np.mean(slopes), rel=0.02)


def test_correlation_without_any_signal_stays() -> None:
    assert correlation_map(Tanh(), 0.0, 0.4, 1.0) == 0.4


@pytest.mark.parametrize("activation", [Glu(), GeGlu(), Relu(), Tanh(), Silu()], ids=lambda a: a.kind)
@pytest.mark.parametrize("q", [0.2, 1.0, 9.0])
def test_the_exponent_of_the_scale_is_the_slope_in_logarithms(activation: BaseActivation, q: float) -> None:
    step = 1e-4
    high, low = (np.log(second_moment(activation, q * np.exp(sign * step))) for sign in (1.0, -1.0))
    assert scale_exponent(activation, q) == pytest.approx((high - low) / (2 * step), rel=1e-5)
