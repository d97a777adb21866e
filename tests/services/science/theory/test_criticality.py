import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.science.activations.base import BaseActivation
from services.science.activations.exponential_linear import Elu, Selu
from services.science.activations.hard import HardTanh
from services.science.activations.linear import Identity
from services.science.activations.rectifiers import LeakyRelu, Relu, SquaredRelu
from services.science.activations.self_gated import Gelu, Mish, Silu
from services.science.activations.shrinkage import TanhShrink
from services.science.activations.sigmoidal import Arctan, Erf, Sigmoid, Softsign, Tanh
from services.science.theory.criticality import critical_point, stable_critical_point
from services.science.theory.maps import chi_1, variance_map

BIASES = (0.0025, 0.01, 0.05, 0.09, 0.25, 1.0)
TABLE = {
    Tanh: (1.260094, 1.424205, 1.760955, 1.947655, 2.401489, 3.443211),
    Erf: (0.987412, 1.114280, 1.375839, 1.521948, 1.880547, 2.718381),
    # The last entry, 2.0727086, is 1 / erf(1 / sqrt(2 q*)) at q* = 2.3878098.
    HardTanh: (1.017785, 1.052061, 1.165545, 1.245780, 1.471728, 2.072709),
    Softsign: (1.852460, 2.288770, 3.141247, 3.600475, 4.692540, 7.115142),
    Arctan: (1.264254, 1.431488, 1.772227, 1.959418, 2.409251, 3.417292),
    Elu: (1.281129, 1.383325, 1.533718, 1.595441, 1.705928, 1.844102),
    Selu: (0.675705, 0.760233, 0.901766, 0.967649, 1.101739, 1.317714),
    Gelu: (3.429544, 2.982799, 2.302520, 2.103864, 1.959631),
    Silu: (3.629077, 3.312588, 2.728612, 2.482583, 2.122696, 1.967041),
    Mish: (2.550943, 2.374604, 2.104798, 2.019546, 1.941647),
}
Q_STAR = {
    Tanh: (0.153692, 0.273301, 0.570048, 0.763475, 1.317939, 3.036396),
    Erf: (0.145146, 0.253210, 0.517177, 0.688771, 1.183272, 2.744891),
}


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_reference_points(kind: type[Tanh]) -> None:
    for bias, weight in zip(BIASES, TABLE[kind], strict=False):
        assert critical_point(kind(), bias).sigma_w_squared == pytest.approx(weight, abs=1e-6)
    for bias, q in zip(BIASES, Q_STAR.get(kind, ()), strict=False):
        assert critical_point(kind(), bias).q_star == pytest.approx(q, abs=1e-6)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("bias", BIASES)
def test_what_is_found_is_a_critical_fixed_point(kind: type[Tanh], bias: float) -> None:
    point = critical_point(kind(), bias)
    assert chi_1(kind(), point.q_star, point.sigma_w_squared) == pytest.approx(1, rel=1e-9)
    assert variance_map(kind(), point.q_star, point.sigma_w_squared, bias) == pytest.approx(point.q_star, rel=1e-9)


def test_without_bias() -> None:
    for activation in (Tanh(), Arctan(), HardTanh(), Elu(), Softsign()):
        point = critical_point(activation)
        assert (point.sigma_w_squared, point.q_star) == (pytest.approx(1, abs=1e-8), 0.0)
    assert critical_point(Erf()).sigma_w_squared == pytest.approx(np.pi / 4)
    assert critical_point(Gelu()).sigma_w_squared == pytest.approx(4, rel=1e-6)
    sigmoid = critical_point(Sigmoid())
    assert sigmoid.sigma_w_squared == pytest.approx(103.00755, abs=1e-5)
    assert sigmoid.q_star == pytest.approx(45.62428, abs=1e-5)


def test_homogeneous_functions_are_critical_at_every_q() -> None:
    for activation, weight in ((Relu(), 2.0), (LeakyRelu(negative_slope=0.3), 2 / 1.09), (Identity(), 1.0)):
        point = critical_point(activation)
        assert point.every_q
        assert point.sigma_w_squared == pytest.approx(weight, rel=1e-12)
        for q in (0.01, 7.0):
            assert variance_map(activation, q, point.sigma_w_squared) == pytest.approx(q, rel=1e-12)


@pytest.mark.parametrize("activation", [SquaredRelu(), TanhShrink()])
def test_no_critical_point_is_said_so(activation: SquaredRelu | TanhShrink) -> None:
    with pytest.raises(ValueError, match="no critical point"):
        critical_point(activation)


def test_nonsense_is_refused() -> None:
    for bias in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="bias_variance"):
            critical_point(Tanh(), bias)


NODES = np.linspace(-10.0, 10.0, 2_000)
MASSES = np.exp(-np.square(NODES) / 2) / np.exp(-np.square(NODES) / 2).sum()
"""An integral of its own: a plain sum, which no kink disturbs."""
ELEMENTWISE = [kind for kind in ACTIVATIONS if ACTIVATIONS[kind].width_factor == 1]


def after_layers(activation: BaseActivation, weight: float, bias: float, layers: int) -> tuple[float, float]:
    """The second moment behind so many layers from standardized inputs, and chi_1 of the last."""
    q, chi = weight + bias, np.nan
    for _ in range(layers):
        x = np.sqrt(q) * NODES
        with np.errstate(over="ignore", invalid="ignore"):
            value, slope = activation.value(x), activation.derivative(x)
            q = weight * float(MASSES @ np.square(value)) + bias
            chi = weight * float(MASSES @ np.square(slope))
        if not q < 1e30:
            return np.inf, chi
    return q, chi


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_signals_stay_at_the_point_that_is_called_stable(kind: str) -> None:
    activation = ACTIVATIONS[kind].model_validate({"kind": kind})
    try:
        point = stable_critical_point(activation)  # type: ignore[arg-type]
    except ValueError:
        with pytest.raises(ValueError, match="no other bias variance has one"):
            stable_critical_point(activation, 0.05)  # type: ignore[arg-type]
        return
    q, chi = after_layers(activation, point.sigma_w_squared, point.sigma_b_squared, 600)
    assert q < 1e3
    assert chi == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("kind", ["gelu", "silu", "mish", "hard_silu", "elish", "e_swish", "snake"])
def test_signals_leave_the_critical_points_that_are_refused(kind: str) -> None:
    """Each is critical by its equations; thirty layers multiply the scale all the same, by 12 (snake) to 1e9."""
    activation = ACTIVATIONS[kind].model_validate({"kind": kind})
    point = critical_point(activation)  # type: ignore[arg-type]
    start = point.sigma_w_squared
    assert after_layers(activation, start, 0.0, 30)[0] > 10 * start
    with pytest.raises(ValueError, match=r"with a bias variance of 0 at which the scale of signals stays"):
        stable_critical_point(activation, 0.0)  # type: ignore[arg-type]


def test_what_to_take_instead_is_said_and_works() -> None:
    with pytest.raises(ValueError, match=r"take 0\.2$"):
        stable_critical_point(Gelu(), 0.0)
    assert stable_critical_point(Gelu(), 0.2) == stable_critical_point(Gelu())
    # The half-stable points, behind which stable ones begin: Roberts, Yaida and Hanin (2022), section 5.3.
    assert 0.17292 < stable_critical_point(Gelu()).sigma_b_squared < 0.21
    assert 0.55514 < stable_critical_point(Silu()).sigma_b_squared < 0.7
    assert stable_critical_point(Tanh()) == critical_point(Tanh())
    with pytest.raises(ValueError, match="bias_variance"):
        stable_critical_point(Tanh(), -1.0)
