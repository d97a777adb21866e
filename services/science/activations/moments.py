"""What an activation does to a Gaussian pre-activation: its moments, and the weight scales that follow from them."""

import math
from collections.abc import Callable

import numpy as np

from services.science.activations.base import BaseActivation, FloatArray
from services.science.activations.gated_linear import GatedLinearUnit
from services.science.activations.rectifiers import LeakyRelu
from services.science.base import Strict

REACH = 38.0
"""Beyond this many deviations the normal density is below 1e-313."""
PANELS = 304
"""Panels of the first pass: a quarter of a deviation each."""
PASSES = 7
TOLERANCE = 1e-11
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


class GaussianMoments(Strict):
    """Expectations over x ~ N(0, q); the gains are what keeps a scale at q, None where the moment is zero.

    For a gated linear unit both halves of x are independent N(0, q), and the derivative's second moment is the sum
    over both.
    """

    q: float
    """Variance of the pre-activation."""
    mean: float
    """E[f(x)]."""
    second_moment: float
    """E[f(x)^2]."""
    std: float
    """Standard deviation of f(x)."""
    derivative_second_moment: float
    """E[f'(x)^2], the jump of a discontinuous f not counted; times sigma_w^2 this is chi_1."""
    gain: float | None
    """sqrt(q / E[f^2]): with std = gain / sqrt(fan_in) every layer's second moment stays q (He et al. 2015)."""
    centred_gain: float | None
    """sqrt(q) / std of f: the same for centred weights (Brock, De & Smith 2021, NFNet's gamma)."""
    derivative_gain: float | None
    """1 / sqrt(E[f'^2]): with std = gain / sqrt(fan_in) the gradient's second moment is kept."""


def moments(activation: BaseActivation, q: float = 1.0) -> GaussianMoments:
    """Compute an activation's moments under N(0, q) by quadrature.

    Args:
        activation: any member of the catalogue.
        q: variance of the pre-activation, above 0.

    Raises:
        ValueError: q is not above 0, or a moment is too large for a float64.
    """
    if not (q > 0 and math.isfinite(q)):
        raise ValueError(f"q must be a finite number above 0, not {q}")
    if isinstance(activation, GatedLinearUnit):
        gate = moments(activation.gate, q)
        second = q * gate.second_moment
        return _collect(q, 0.0, second, second, gate.second_moment + q * gate.derivative_second_moment)
    root = math.sqrt(q)

    def integrand(z: FloatArray) -> FloatArray:
        value, slope = activation.value(root * z), activation.derivative(root * z)
        return np.stack([value, np.square(value), np.square(slope)])

    cuts = tuple(kink / root for kink in activation.kinks)
    mean, second, slope_second = (float(entry) for entry in _expectation(integrand, cuts))
    if not math.isfinite(second + slope_second):
        raise ValueError(f"{activation.label()} has moments beyond float64 at q = {q:g}")
    variance = float(_expectation(lambda z: np.square(activation.value(root * z) - mean)[None], cuts)[0])
    return _collect(q, mean, second, variance, slope_second)


def _collect(q: float, mean: float, second: float, variance: float, slope_second: float) -> GaussianMoments:
    return GaussianMoments(
        q=q,
        mean=mean,
        second_moment=second,
        std=math.sqrt(variance),
        derivative_second_moment=slope_second,
        gain=math.sqrt(q / second) if second > 0 else None,
        centred_gain=math.sqrt(q / variance) if variance > 0 else None,
        derivative_gain=1.0 / math.sqrt(slope_second) if slope_second > 0 else None,
    )


def _expectation(integrand: Callable[[FloatArray], FloatArray], cuts: tuple[float, ...]) -> FloatArray:
    """E[integrand(z)], z ~ N(0, 1), by 16-point Gauss-Legendre on panels that end at every cut.

    A rule that straddles a kink is wrong in the fourth digit, so kinks are always panel ends. The panels are halved
    until two passes agree.
    """
    previous = None
    result = np.zeros(0)
    for refinement in range(PASSES):
        edges = np.linspace(-REACH, REACH, PANELS * 2**refinement + 1)
        edges = np.unique(np.concatenate([edges, [cut for cut in cuts if abs(cut) < REACH]]))
        half = np.diff(edges)[:, None] / 2.0
        z = edges[:-1, None] + half * (1.0 + NODES)
        density = WEIGHTS * half * np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
        # An integrand that overflows gives inf, or nan where the density is zero: the caller refuses both.
        with np.errstate(over="ignore", invalid="ignore"):
            result = (integrand(z) * density).sum(axis=(-2, -1))
        if not np.isfinite(result).all():
            return result
        if previous is not None and np.all(np.abs(result - previous) <= TOLERANCE * (1.0 + np.abs(result))):
            break
        previous = result
    return result


TORCH_GAINS = {"identity": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def torch_gain(activation: BaseActivation) -> float | None:
    """What torch.nn.init.calculate_gain (PyTorch 2.13) says, or None where it knows no gain.

    It differs from `GaussianMoments.gain` at q = 1 for sigmoid (1 against 1.846), tanh (5/3, an empirical number,
    against 1.593) and selu (3/4, empirical too, against 1: it gives up self-normalisation for more even gradients).
    """
    if isinstance(activation, LeakyRelu):
        return math.sqrt(2.0 / (1.0 + activation.negative_slope**2))
    return TORCH_GAINS.get(activation.kind)


def gain_note(activation: BaseActivation) -> str:
    """Say in a sentence how PyTorch's gain compares with the one that keeps the second moment at 1."""
    theirs = torch_gain(activation)
    ours = moments(activation).gain
    if ours is None:
        return "Its second moment is zero: no scale of the weights keeps a signal."
    if theirs is None:
        return f"torch.nn.init.calculate_gain knows no gain for it; {ours:.4f} keeps a second moment of 1."
    if math.isclose(theirs, ours, rel_tol=1e-6):
        return f"torch.nn.init.calculate_gain agrees: {ours:.4f} keeps a second moment of 1."
    return (
        f"torch.nn.init.calculate_gain says {theirs:.4f}; {ours:.4f} keeps a second moment of 1, "
        f"so its signal changes by a factor {(theirs / ours) ** 2:.3g} at the first layer."
    )
