"""Gaussian expectations with the integration cut at every kink.

A rule that straddles a kink is wrong in the fourth digit (a grid of 48,000 points gives 0.4999 for relu's 0.5), so
panels always end at kinks, and near zero they shrink with the scale on which the function bends.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

REACH = 12.0
"""Integration runs over this many standard deviations either side; the density beyond is below 1e-32."""
_PAIR_REACH = 9.0
_BENDS = tuple(float(sign * 2.0**power) for power in range(-2, 7) for sign in (-1, 1))
"""Inputs around which smooth activations bend, on a log scale."""
_TOLERANCE = 1e-11
_PASSES = 4


class ElementwiseActivation(Protocol):
    """What theory needs of an activation: values and derivatives of float64 arrays, and where it is not smooth."""

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where the function or a derivative jumps."""
        ...

    def value(self, x: Floats) -> Floats:
        """f(x)."""
        ...

    def derivative(self, x: Floats) -> Floats:
        """f'(x)."""
        ...


def gaussian_expectation(function: Function, variance: float, kinks: Sequence[float] = ()) -> float:
    """E[f(x)] for x ~ N(0, variance), by 16-point Gauss-Legendre on panels that are halved until two passes agree.

    Args:
        function: elementwise on float64 arrays. Growth beyond exp(x) needs a small variance.
        variance: at least 0; 0 gives f(0).
        kinks: where f is not smooth.

    Raises:
        ValueError: a negative variance, or an expectation that is not finite.
    """
    if not variance >= 0:
        raise ValueError(f"variance must be at least 0, not {variance}")
    if variance == 0:
        return float(function(np.zeros(1))[0])
    root = float(np.sqrt(variance))
    cuts = np.array([*kinks, *_BENDS]) / root
    previous = np.inf
    result = np.nan
    for refinement in range(_PASSES):
        z, weights = _panels(np.unique(np.concatenate([_even(REACH, refinement), np.clip(cuts, -REACH, REACH)])), 16)
        with np.errstate(over="ignore", invalid="ignore"):
            result = float(weights @ function(root * z))
        if not np.isfinite(result):
            raise ValueError(f"the expectation under N(0, {variance:g}) is not finite")
        if abs(result - previous) <= _TOLERANCE * abs(result) + 1e-300:
            break
        previous = result
    return result


def pair_expectation(function: Function, variance: float, correlation: float, kinks: Sequence[float] = ()) -> float:
    """E[f(u) f(v)] for u, v jointly normal with mean 0, equal variance and the given correlation.

    With s = sqrt(|c|) and r = sqrt(1 - |c|), u and v are independent given a common normal z, so the expectation is
    E_z[g(z) g(+-z)] with g(z) = E_w f(sqrt(variance) (s z + r w)): two nested smooth one-dimensional integrals.

    Raises:
        ValueError: a negative variance, or a correlation outside [-1, 1].
    """
    if not variance >= 0:
        raise ValueError(f"variance must be at least 0, not {variance}")
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation must lie between -1 and 1, not {correlation}")
    mirrored = tuple(sorted({*kinks, *(-kink for kink in kinks)}))
    if correlation == 1:
        return gaussian_expectation(lambda x: np.square(function(x)), variance, kinks)
    if correlation == -1:
        return gaussian_expectation(lambda x: function(x) * function(-x), variance, mirrored)
    if correlation == 0 or variance == 0:
        return gaussian_expectation(function, variance, kinks) ** 2
    root, shared, own = np.sqrt(variance), np.sqrt(abs(correlation)), np.sqrt(1 - abs(correlation))
    # g bends where its argument crosses a kink, over a width of own / shared.
    widths = own / shared * np.array([-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0])
    centres = np.array([0.0, *mirrored]) / (root * shared)
    outer_cuts = np.concatenate([(centres[:, None] + widths).ravel(), np.array(_BENDS) / (root * shared)])
    outer_edges = np.unique(np.concatenate([_even(_PAIR_REACH, 0), np.clip(outer_cuts, -_PAIR_REACH, _PAIR_REACH)]))
    z, outer_weights = _panels(outer_edges, 8)
    points = np.array([*kinks, *_BENDS]) / root
    inner_cuts = np.clip((points[None, :] - shared * z[:, None]) / own, -_PAIR_REACH, _PAIR_REACH)
    even = np.broadcast_to(_even(_PAIR_REACH, 0)[::2], (z.size, _even(_PAIR_REACH, 0)[::2].size))
    w, inner_weights = _panels(np.sort(np.concatenate([even, inner_cuts], axis=1), axis=1), 8)
    smoothed = np.sum(inner_weights * function(root * (shared * z[:, None] + own * w)), axis=1)
    other = smoothed if correlation > 0 else smoothed[::-1]
    return float(np.sum(outer_weights * smoothed * other))


def _panels(edges: Floats, nodes: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and standard normal weights on every panel: edges `(..., m)` give `(..., (m-1) nodes)`."""
    points, weights = _legendre(nodes)
    half = np.diff(edges)[..., None] / 2
    z = edges[..., :-1, None] + half * (1 + points)
    density = half * weights * np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)
    shape = (*edges.shape[:-1], -1)
    return z.reshape(shape), density.reshape(shape)


@lru_cache
def _legendre(nodes: int) -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(nodes)


@lru_cache
def _even(reach: float, refinement: int) -> Floats:
    return np.linspace(-reach, reach, int(4 * reach) * 2**refinement + 1)
