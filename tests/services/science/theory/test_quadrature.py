import numpy as np
import pytest
from scipy import integrate, special

from services.science.activations.moments import moments
from services.science.activations.rectifiers import LeakyRelu, Relu
from services.science.activations.self_gated import Gelu, Mish
from services.science.activations.sigmoidal import Erf, Tanh
from services.science.theory.quadrature import gaussian_expectation, pair_expectation


@pytest.mark.parametrize("q", [1e-8, 0.01, 1.0, 45.0, 1e4])
def test_closed_forms(q: float) -> None:
    def second(activation: Relu | LeakyRelu | Erf) -> float:
        return gaussian_expectation(lambda x: np.square(activation.value(x)), q, activation.kinks)

    assert second(Relu()) == pytest.approx(q / 2, rel=1e-12)
    assert second(LeakyRelu(negative_slope=0.2)) == pytest.approx(q * 0.52, rel=1e-12)
    # E[erf(x)^2] = 2/pi asin(2q / (1 + 2q)): Williams (1997), Computing with infinite networks.
    assert second(Erf()) == pytest.approx(2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)), rel=1e-10)
    assert gaussian_expectation(np.sin, q) == pytest.approx(0, abs=1e-12)
    assert gaussian_expectation(np.cos, min(q, 45.0)) == pytest.approx(np.exp(-min(q, 45.0) / 2), abs=1e-12)


def test_kinks_off_centre() -> None:
    expected = special.ndtr(-0.7)
    assert gaussian_expectation(lambda x: (x > 0.7).astype(float), 1.0, (0.7,)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("activation", [Tanh(), Gelu(), Mish()])
@pytest.mark.parametrize("q", [0.3, 4.0, 300.0])
def test_agrees_with_the_catalogues_moments(activation: Tanh | Gelu | Mish, q: float) -> None:
    other = moments(activation, q)
    assert gaussian_expectation(activation.value, q) == pytest.approx(other.mean, rel=1e-9, abs=1e-12)
    assert gaussian_expectation(lambda x: activation.derivative(x) ** 2, q) == pytest.approx(
        other.derivative_second_moment, rel=1e-9
    )


@pytest.mark.parametrize("c", [-1.0, -0.999, -0.5, -0.01, 0.0, 0.2, 0.9, 0.9999, 1.0])
@pytest.mark.parametrize("q", [0.05, 1.0, 30.0])
def test_pairs_have_their_arc_cosine_and_arc_sine_forms(c: float, q: float) -> None:
    """Cho and Saul (2009) for relu and its step; Williams (1997) for erf."""
    relu, step = pair_expectation(Relu().value, q, c, (0.0,)), pair_expectation(Relu().derivative, q, c, (0.0,))
    assert relu == pytest.approx(q * (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / (2 * np.pi), abs=1e-10 * q)
    assert step == pytest.approx((np.pi - np.arccos(c)) / (2 * np.pi), abs=1e-7)
    erf = pair_expectation(Erf().value, q, c)
    assert erf == pytest.approx(2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)), abs=1e-9)


def test_a_pair_without_symmetry_against_scipys_double_integral() -> None:
    c, q = -0.6, 2.0
    own = np.sqrt(1 - c * c)

    def integrand(w: float, z: float) -> float:
        x, y = np.sqrt(q) * z, np.sqrt(q) * (c * z + own * w)
        return float(np.exp(-(z * z + w * w) / 2) / (2 * np.pi) * np.logaddexp(0, x) * np.logaddexp(0, y))

    theirs = integrate.dblquad(integrand, -9, 9, -9, 9, epsabs=1e-9)[0]
    assert pair_expectation(lambda x: np.logaddexp(0, x), q, c) == pytest.approx(theirs, abs=1e-8)


def test_limits_and_nonsense() -> None:
    assert gaussian_expectation(lambda x: x + 3, 0.0) == 3.0
    assert pair_expectation(lambda x: x + 3, 0.0, 0.4) == 9.0
    with pytest.raises(ValueError, match="variance"):
        gaussian_expectation(np.tanh, -1.0)
    with pytest.raises(ValueError, match="variance"):
        pair_expectation(np.tanh, np.nan, 0.0)
    with pytest.raises(ValueError, match="correlation"):
        pair_expectation(np.tanh, 1.0, 1.1)
    with pytest.raises(ValueError, match="not finite"):
        gaussian_expectation(np.exp, 1e6)
