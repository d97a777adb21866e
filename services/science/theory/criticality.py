"""The edge of chaos: the weight scale at which a gradient neither vanishes nor explodes, for a given bias scale.

At criticality chi_1 = sigma_w^2 E[f'(sqrt(q*) z)^2] = 1 and q* = sigma_w^2 E[f^2] + sigma_b^2, so that q* is a zero of
E[f^2] / E[f'^2] + sigma_b^2 - q, one equation in q.

Source: Schoenholz et al. (2017), Deep information propagation, section 3; Hayou et al. (2019), On the impact of the
activation function on deep neural networks training.
"""

from collections.abc import Callable

import numpy as np

from services.science.base import Strict
from services.science.theory.maps import bracketed_root, derivative_moment, second_moment
from services.science.theory.quadrature import ElementwiseActivation

_SMALLEST_Q = 1e-8
_LARGEST_Q = 1e4
_GRID = 97


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
    if not (bias_variance >= 0 and np.isfinite(bias_variance)):
        raise ValueError(f"bias_variance must be a finite number of at least 0, not {bias_variance}")

    def excess(q: float) -> float:
        return second_moment(activation, q) / derivative_moment(activation, q) + bias_variance - q

    if bias_variance == 0:
        at_zero = _critical_at_zero(activation, excess)
        if at_zero is not None:
            return at_zero
    grid = np.geomspace(_SMALLEST_Q, _LARGEST_Q, _GRID)
    previous_q, previous = float(grid[0]), _or_nan(excess, float(grid[0]))
    for q in grid[1:].tolist():
        current = _or_nan(excess, q)
        # From positive to negative or back; a NaN compares false with everything.
        if previous * current <= 0:
            q_star = bracketed_root(excess, previous_q, q)
            weight = 1 / derivative_moment(activation, q_star)
            return CriticalPoint(sigma_w_squared=weight, sigma_b_squared=bias_variance, q_star=q_star, every_q=False)
        previous_q, previous = q, current
    raise ValueError(f"there is no critical point with a bias variance of {bias_variance:g}: choose a smaller one")


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
