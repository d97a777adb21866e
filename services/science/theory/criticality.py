"""The edge of chaos: the weight scale at which a gradient neither vanishes nor explodes, for a given bias scale.

At criticality chi_1 = sigma_w^2 E[f'(sqrt(q*) z)^2] = 1 and q* = sigma_w^2 E[f^2] + sigma_b^2, so that q* is a zero of
E[f^2] / E[f'^2] + sigma_b^2 - q, one equation in q.

Source: Schoenholz et al. (2017), Deep information propagation, section 3; Hayou et al. (2019), On the impact of the
activation function on deep neural networks training.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from math import ceil, floor, log10

import numpy as np

from services.science.base import Strict
from services.science.theory.maps import (
    TINY_Q,
    bracketed_root,
    chi_1,
    derivative_moment,
    limit_of_q,
    second_moment,
    variance_slope,
)
from services.science.theory.quadrature import ElementwiseActivation

_SMALLEST_Q = 1e-8
_LARGEST_Q = 1e4
_GRID = 97
_MOST_TRIED = 12
_APART = 1.5
"""Bias variances that are tried, and the least factor between them."""
SETTLED_WITHIN = 0.01
"""chi_1 within this of 1, where the scale settles, is critical in practice: a factor 1.35 over 30 layers."""


class CriticalPoint(Strict):
    """A point (sigma_w^2, sigma_b^2) with chi_1 = 1 and the second moment at which it is."""

    sigma_w_squared: float
    sigma_b_squared: float
    q_star: float
    every_q: bool
    """Whether any q is kept, not only q*: so for relu, leaky relu and other functions with f(ax) = a f(x)."""


def critical_point(activation: ElementwiseActivation, bias_variance: float = 0.0) -> CriticalPoint:
    """Solve for the critical weight scale.

    With several solutions the one with the smallest q* is returned. Without bias a function with f(0) = 0 is critical
    as q goes to 0 at sigma_w^2 = 1 / E[f'^2], which is 1 / f'(0)^2 where f is smooth at 0: (1, 0) for tanh.

    Args:
        activation: with value, derivative and kinks.
        bias_variance: sigma_b^2, at least 0.

    Raises:
        ValueError: a negative bias variance, or no critical point for it.
    """
    _check(bias_variance)
    for point in _points(activation, bias_variance, _Curve(activation)):
        return point
    raise ValueError(f"there is no critical point with a bias variance of {bias_variance:g}: choose a smaller one")


def stable_critical_point(activation: ElementwiseActivation, bias_variance: float | None = None) -> CriticalPoint:
    """A critical point to which the scale of a deep network comes by itself from standardized inputs.

    Not every critical point is one: gelu, silu and mish without biases leave theirs (q* = 0) upwards for good, since
    they pass large signals on in a greater share than small ones.

    Args:
        activation: with value, derivative and kinks.
        bias_variance: sigma_b^2, at least 0; None takes the smallest tried that has such a point, of two digits.

    Raises:
        ValueError: a negative bias variance, or no such point; it says which bias variance has one.
    """
    curve = _Curve(activation)
    if bias_variance is None:
        point = _least_stable(activation, curve)
        if point is None:
            raise ValueError(
                "there is no critical point at which the scale of signals stays, whatever the bias variance"
            )
        return point
    _check(bias_variance)
    point = _first_stable(activation, bias_variance, curve)
    if point is None:
        other = _least_stable(activation, curve)
        way_out = f"take {other.sigma_b_squared:g}" if other else "no other bias variance has one either"
        raise ValueError(
            f"there is no critical point with a bias variance of {bias_variance:g} at which the scale of signals "
            f"stays: {way_out}"
        )
    return point


class _Curve:
    """E[f^2] / E[f'^2] - q on a grid of q: minus the bias variance of which q is the critical fixed point."""

    def __init__(self, activation: ElementwiseActivation) -> None:
        self._activation = activation

    @cached_property
    def points(self) -> list[tuple[float, float]]:
        """Pairs of q and the excess there, NaN where it cannot be had; computed when first asked for."""
        grid: list[float] = np.geomspace(_SMALLEST_Q, _LARGEST_Q, _GRID).tolist()
        return [(q, _or_nan(lambda value: _excess(self._activation, value), q)) for q in grid]


def _check(bias_variance: float) -> None:
    if not (bias_variance >= 0 and np.isfinite(bias_variance)):
        raise ValueError(f"bias_variance must be a finite number of at least 0, not {bias_variance}")


def _least_stable(activation: ElementwiseActivation, curve: _Curve) -> CriticalPoint | None:
    """The stable point of the smallest bias variance: 0 where that has one, else found along q*."""
    without = _first_stable(activation, 0.0, curve)
    if without is not None:
        return without
    tried: list[float] = []
    for bias in sorted(_attracting(activation, curve)):
        if len(tried) == _MOST_TRIED:
            break
        if tried and bias < _APART * tried[-1]:
            continue
        tried.append(bias)
        point = _first_stable(activation, bias, curve)
        if point is not None:
            return point
    return None


def _attracting(activation: ElementwiseActivation, curve: _Curve) -> set[float]:
    """Bias variances, rounded up to two digits, whose critical q* draws the q around it to itself."""
    biases: set[float] = set()
    for q, excess in curve.points:
        if excess < 0 and _or_nan(lambda at: variance_slope(activation, at, _weight(activation, at)), q) < 1:
            digit = 10.0 ** (floor(log10(-excess)) - 1)
            biases.add(float(f"{ceil(-excess / digit) * digit:.2g}"))
    return biases


def _first_stable(activation: ElementwiseActivation, bias_variance: float, curve: _Curve) -> CriticalPoint | None:
    return next((point for point in _points(activation, bias_variance, curve) if _stays(activation, point)), None)


def _stays(activation: ElementwiseActivation, point: CriticalPoint) -> bool:
    """Whether a network of this scale settles, from standardized inputs, where its gradient neither grows nor fades."""
    weight, bias = point.sigma_w_squared, point.sigma_b_squared
    limit = limit_of_q(activation, weight, bias, weight + bias)
    if not np.isfinite(limit):
        return False
    return abs(_or_nan(lambda q: chi_1(activation, q, weight), max(limit, TINY_Q)) - 1) <= SETTLED_WITHIN


def _excess(activation: ElementwiseActivation, q: float) -> float:
    """E[f^2] / E[f'^2] - q, which is -sigma_b^2 at a critical point."""
    return second_moment(activation, q) / derivative_moment(activation, q) - q


def _weight(activation: ElementwiseActivation, q: float) -> float:
    """sigma_w^2 with chi_1 = 1 at q."""
    return 1 / derivative_moment(activation, q)


def _points(activation: ElementwiseActivation, bias_variance: float, curve: _Curve) -> Iterator[CriticalPoint]:
    """Every critical point of this bias variance that the grid shows, from the smallest q*."""

    def excess(q: float) -> float:
        return _excess(activation, q) + bias_variance

    if bias_variance == 0:
        at_zero = _critical_at_zero(activation, excess)
        if at_zero is not None:
            yield at_zero
            if at_zero.every_q:
                return
    for (low, before), (high, after) in pairwise(curve.points):
        # From positive to negative or back; a NaN compares false with everything.
        if (before + bias_variance) * (after + bias_variance) <= 0:
            q_star = bracketed_root(excess, low, high)
            yield CriticalPoint(
                sigma_w_squared=_weight(activation, q_star),
                sigma_b_squared=bias_variance,
                q_star=q_star,
                every_q=False,
            )


def _critical_at_zero(activation: ElementwiseActivation, excess: Callable[[float], float]) -> CriticalPoint | None:
    """The point that is reached as q goes to 0 without bias, or None where f(0) is not 0 or f is flat there."""
    slope = _or_nan(lambda q: derivative_moment(activation, q), _SMALLEST_Q)
    if not slope > 0 or activation.value(np.zeros(2))[0] != 0:
        return None
    probes = (1e-4, 1.0, 10.0)
    homogeneous = all(abs(_or_nan(excess, q)) <= 1e-9 * q for q in probes)
    # Close to zero E[f^2] / E[f'^2] must tend to q, else f is of higher order there and no such point exists.
    if not homogeneous and not abs(_or_nan(excess, _SMALLEST_Q)) <= 1e-2 * _SMALLEST_Q:
        return None
    weight = 1 / derivative_moment(activation, 1.0 if homogeneous else 1e-24)
    return CriticalPoint(
        sigma_w_squared=weight, sigma_b_squared=0.0, q_star=1.0 if homogeneous else 0.0, every_q=homogeneous
    )


def _or_nan(function: Callable[[float], float], q: float) -> float:
    """The function's value, or NaN where the moments cannot be had (too large, or a derivative that is zero)."""
    try:
        return function(q)
    except (ValueError, ZeroDivisionError):
        return float("nan")
