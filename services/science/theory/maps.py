"""Mean-field maps of a wide fully connected network at initialization: variance, correlation, gradient, fixed points.

Notation: q is the second moment of a pre-activation, c the correlation of two inputs' pre-activations,
sigma_w^2 = fan_in * Var(w), sigma_b^2 = Var(b). A gated linear unit f(a, b) = a g(b) has a pre-activation of two
independent halves, both of second moment q; its derivative moment is the sum over the halves.

Source: Poole et al. (2016), Exponential expressivity in deep neural networks through transient chaos; Schoenholz et
al. (2017), Deep information propagation.
"""

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from scipy import optimize

from services.science.activations.gated_linear import GatedLinearUnit
from services.science.base import Strict
from services.science.theory.quadrature import (
    ElementwiseActivation,
    Function,
    gaussian_expectation,
    pair_expectation,
)

TINY_Q = 1e-12
"""Second moments below this count as gone."""
HUGE_Q = 1e12
"""Second moments above this count as unbounded."""
CRITICAL_WITHIN = 1e-3
"""chi_1 within this of 1 is called critical."""
TRAINABLE_DEPTHS = 6
"""A network trains to about this many correlation depth scales (Schoenholz et al. 2017, figure 5)."""

Phase = Literal["ordered", "critical", "chaotic"]


def second_moment(activation: ElementwiseActivation, q: float) -> float:
    """E[f(x)^2], x ~ N(0, q)."""
    if isinstance(activation, GatedLinearUnit):
        return q * second_moment(activation.gate, q)
    return gaussian_expectation(lambda x: np.square(activation.value(x)), q, activation.kinks)


def derivative_moment(activation: ElementwiseActivation, q: float) -> float:
    """E[f'(x)^2], x ~ N(0, q); for a gated unit E[g^2] + q E[g'^2]."""
    if isinstance(activation, GatedLinearUnit):
        gate = activation.gate
        return second_moment(gate, q) + q * derivative_moment(gate, q)
    return gaussian_expectation(lambda x: np.square(activation.derivative(x)), q, activation.kinks)


def variance_map(activation: ElementwiseActivation, q: float, weight: float, bias: float = 0.0) -> float:
    """The next layer's q: sigma_w^2 E[f^2] + sigma_b^2 (Poole et al. 2016, equation 3).

    Args:
        activation: between the two layers.
        q: this layer's.
        weight: sigma_w^2 of the next layer.
        bias: sigma_b^2 of the next layer.
    """
    return weight * second_moment(activation, q) + bias


def variance_slope(activation: ElementwiseActivation, q: float, weight: float) -> float:
    """dq'/dq = sigma_w^2 E[f(x) f'(x) x] / q, the rate at which q settles."""
    if q <= 0:
        q = TINY_Q
    if isinstance(activation, GatedLinearUnit):
        gate = activation.gate
        inner = gaussian_expectation(lambda x: gate.value(x) * gate.derivative(x) * x, q, gate.kinks)
        return weight * (second_moment(gate, q) + inner)
    return (
        weight
        * gaussian_expectation(lambda x: activation.value(x) * activation.derivative(x) * x, q, activation.kinks)
        / q
    )


def scale_exponent(activation: ElementwiseActivation, q: float = 1.0) -> float:
    """D log E[f^2] / d log q: the power of a row's own scale that a layer passes on, whatever its weights.

    1 for relu, less for what saturates, 2 for gated units with an unbounded gate and for squared rectifiers. Where it
    is above 1 the fixed point of the scale is unstable: q away from it goes on to move away.
    """
    return q * variance_slope(activation, q, 1.0) / second_moment(activation, q)


def correlation_map(activation: ElementwiseActivation, q: float, c: float, weight: float, bias: float = 0.0) -> float:
    """The next layer's c for two inputs of equal q: (sigma_w^2 E[f(u) f(v)] + sigma_b^2) / q'."""
    following = variance_map(activation, q, weight, bias)
    if following <= 0:
        return c
    together = weight * _together(activation, q, c) + bias
    return float(np.clip(together / following, -1.0, 1.0))


def chi_1(activation: ElementwiseActivation, q: float, weight: float) -> float:
    """sigma_w^2 E[f'^2]: what a layer multiplies the gradient's second moment by, going back."""
    return weight * derivative_moment(activation, q)


class FixedPoint(Strict):
    """Where an infinitely deep network with one scale ends up. None stands for infinite or not defined."""

    q_star: float | None
    """Limit of q; null if unbounded."""
    chi_1: float | None
    """At q*; null where it is beyond floating point."""
    c_star: float | None
    """Limit of the correlation of two different inputs; null if q is unbounded or gone."""
    q_depth: float | None
    """Layers over which q settles by a factor e."""
    correlation_depth: float | None
    """Layers over which the correlation settles by a factor e; null at criticality, and where c* is null."""
    gradient_depth: float | None
    """Layers over which the gradient's second moment changes by a factor e; null where it does not change."""
    trainable_depth: float | None
    """About six correlation depths, or gradient depths where there is no correlation; null stands for no limit."""
    phase: Phase


def fixed_point(activation: ElementwiseActivation, weight: float, bias: float = 0.0, start: float = 1.0) -> FixedPoint:
    """Fixed point, depth scales and phase of (activation, sigma_w^2, sigma_b^2).

    q* is the first fixed point on the way from `start`, in the direction in which q moves there; where every q is one
    (relu with He's scale), it is `start`.
    """
    q_star = limit_of_q(activation, weight, bias, float(np.clip(start, 10 * TINY_Q, HUGE_Q / 10)))
    q = float(np.clip(q_star, TINY_Q, HUGE_Q**0.5))
    try:
        chi, slope = chi_1(activation, q, weight), variance_slope(activation, q, weight)
    except ValueError:
        nothing = dict.fromkeys(("q_star", "chi_1", "c_star", "q_depth", "correlation_depth", "gradient_depth"))
        return FixedPoint(**nothing, trainable_depth=0.0, phase="chaotic")
    phase: Phase = "critical" if abs(chi - 1) <= CRITICAL_WITHIN else "ordered" if chi < 1 else "chaotic"
    c_star: float | None = None
    correlation_depth: float | None = None
    if TINY_Q < q_star < HUGE_Q:
        c_star = _limit_of_c(activation, q, weight, bias) if chi > 1 + 1e-9 else 1.0
        rate = weight * _together(activation, q, c_star, derivative=True) if c_star < 1 else chi
        correlation_depth = _depth_scale(rate)
    gradient_depth = _depth_scale(chi)
    limiting = gradient_depth if c_star is None else correlation_depth
    return FixedPoint(
        q_star=q_star if q_star < HUGE_Q else None,
        chi_1=chi,
        c_star=c_star,
        q_depth=_depth_scale(slope),
        correlation_depth=correlation_depth,
        gradient_depth=gradient_depth,
        trainable_depth=None if limiting is None else TRAINABLE_DEPTHS * limiting,
        phase=phase,
    )


def limit_of_q(activation: ElementwiseActivation, weight: float, bias: float, near: float) -> float:
    """The first fixed point of the variance map on the way from `near`; 0 where q fades, infinite where it grows on."""

    def excess(q: float) -> float:
        try:
            return variance_map(activation, q, weight, bias) - q
        except ValueError:
            return np.inf

    start = excess(near)
    if abs(start) <= 1e-10 * near:
        return near
    step = 1.5 if start > 0 else 1 / 1.5
    while TINY_Q < near < HUGE_Q:
        far = near * step
        if excess(far) == np.inf:
            return np.inf
        if np.sign(excess(far)) != np.sign(start):
            return bracketed_root(excess, min(near, far), max(near, far))
        near = far
    return 0.0 if step < 1 else np.inf


def _limit_of_c(activation: ElementwiseActivation, q: float, weight: float, bias: float) -> float:
    def excess(c: float) -> float:
        return (weight * _together(activation, q, c) + bias) / q - c

    if excess(0.0) <= 1e-14:
        return 0.0
    below_one = 1 - 1e-6
    return bracketed_root(excess, 0.0, below_one) if excess(below_one) < 0 else 1.0


def bracketed_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a function that changes sign between low and high (Brent)."""
    return cast(float, optimize.brentq(function, low, high, xtol=1e-15))


def _together(activation: ElementwiseActivation, q: float, c: float, derivative: bool = False) -> float:
    if isinstance(activation, GatedLinearUnit):
        gate = activation.gate
        values = pair_expectation(gate.value, q, c, gate.kinks)
        if not derivative:
            return q * c * values
        return values + q * c * pair_expectation(gate.derivative, q, c, gate.kinks)
    function: Function = activation.derivative if derivative else activation.value
    return pair_expectation(function, q, c, activation.kinks)


def _depth_scale(rate: float) -> float | None:
    """|1 / ln(rate)|; None where the rate is 1 (no scale), 0 where it is 0."""
    if rate <= 0:
        return 0.0
    return None if abs(rate - 1) < 1e-9 else float(abs(1 / np.log(rate)))
