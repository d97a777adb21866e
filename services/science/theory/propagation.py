"""What a network of given widths does to signals and gradients before it is trained.

Recursion of second moments from layer to layer (see `maps`), with the scatter that finite widths add.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from services.science.activations.gated_linear import GatedLinearUnit
from services.science.base import Strict
from services.science.theory.maps import (
    FixedPoint,
    chi_1,
    correlation_map,
    fixed_point,
    second_moment,
    variance_map,
    variance_slope,
)
from services.science.theory.quadrature import ElementwiseActivation, Floats, gaussian_expectation

Health = Literal["ok", "vanish", "explode"]

VANISHING = 1e-4
"""Below this factor a signal or gradient counts as vanished; above its inverse as exploded."""
CEILING = 1e60
"""A second moment above this is past all hope, and its powers past floating point."""
SATURATED_SLOPE = 0.05
"""A unit is saturated where its slope is below this share of the largest slope."""
ASSUMPTIONS = (
    "fully connected layers with independent random weights of mean zero, before the first update",
    "wide layers: at width n every layer scatters ln q by about sqrt(5 / n) for relu",
    "gradients go back through weights independent of the forward pass",
    "no batch normalization, no dropout, no residual connections",
)


@dataclass(frozen=True)
class LayerScale:
    """One weight layer: `fan_in` inputs, `fan_out` units, and the variances of one weight and one bias."""

    fan_in: int
    fan_out: int
    weight_variance: float
    bias_variance: float = 0.0

    @property
    def sigma_w_squared(self) -> float:
        """fan_in * Var(w)."""
        return self.fan_in * self.weight_variance


class LayerPrediction(Strict):
    """What to expect of one layer's pre-activations; the last layer is the network's output."""

    layer: int
    width: int
    sigma_w_squared: float
    sigma_b_squared: float
    second_moment: float | None
    """q, the mean square of the pre-activations; null beyond floating point."""
    log_spread: float
    """Standard deviation of ln q from one draw of the weights to the next (first order in 1 / width)."""
    correlation: float
    """Of the pre-activations of two inputs that start with the given correlation."""
    gradient: float | None
    """Squared norm of the loss gradient at this layer over that at the output; null beyond floating point."""
    flat_fraction: float
    """Expected share of units with slope exactly 0: one half for relu; 0 for the output."""
    saturated_fraction: float
    """Expected share of units with less than 5 % of the largest slope; 0 for the output."""


class Prediction(Strict):
    """Signal propagation of a whole network."""

    layers: list[LayerPrediction]
    forward_ratio: float | None
    """q of the output over q of the first layer; null beyond floating point."""
    gradient_ratio: float | None
    """Squared norm of the gradient at the first layer over that at the output; null beyond floating point."""
    band: tuple[float, float]
    """Factors about forward_ratio between which two thirds of the draws lie: exp(-+ log_spread of the output)."""
    forward: Health
    backward: Health
    verdict: Health
    """The backward one unless it is ok: a healthy forward pass alone says little."""
    forward_lost_at: int | None
    """First layer whose q left the band of 1e-4 to 1e4 about the first layer's; null if none did."""
    gradient_lost_after: int | None
    """Layers, counted from the output, after which the gradient left that band; null if it did not."""
    infinite_depth: FixedPoint
    """Limit of a network that goes on with the scale of its last hidden layer."""
    born_dead_probability: float | None
    """At least this probability that some hidden layer is dead at the start (relu without biases); else null."""
    sentence: str
    assumptions: list[str]


def predict(
    activation: ElementwiseActivation,
    layers: Sequence[LayerScale],
    input_second_moment: float = 1.0,
    input_correlation: float = 0.0,
) -> Prediction:
    """Predict second moments, correlation and gradient ratio layer by layer.

    Args:
        activation: between the layers; none after the last.
        layers: weight layers from the input to the output, the output layer included.
        input_second_moment: mean square of the inputs (1 after standardization).
        input_correlation: of the two inputs followed.

    Raises:
        ValueError: no layer, or a scale that is negative or not finite.
    """
    q, gradients = second_moments(activation, layers, input_second_moment)
    first = layers[0]
    together = first.sigma_w_squared * input_second_moment * input_correlation + first.bias_variance
    c = [float(np.clip(together / q[0], -1, 1)) if q[0] > 0 else input_correlation]
    spread = [0.0]
    for index, (before, layer) in enumerate(pairwise(layers)):
        if q[index] > CEILING or q[index + 1] == np.inf:
            c, spread = [*c, c[-1]], [*spread, spread[-1]]
            continue
        c.append(correlation_map(activation, q[index], c[-1], layer.sigma_w_squared, layer.bias_variance))
        spread.append(_next_spread(activation, spread[-1], q[index], q[index + 1], before.fan_out, layer))
    flat, saturated = zip(*(_slopes(activation, value) for value in q[:-1]), (0.0, 0.0), strict=True)
    forward_ratio = q[-1] / q[0] if q[0] > 0 else 0.0
    gradient_ratio = float(gradients[0])
    forward, backward = health(forward_ratio), health(gradient_ratio)
    last_hidden = layers[-2] if len(layers) > 1 else layers[-1]
    limit = fixed_point(activation, last_hidden.sigma_w_squared, last_hidden.bias_variance, q[0])
    verdict = backward if backward != "ok" else forward
    return Prediction(
        layers=[
            LayerPrediction(
                layer=index,
                width=layer.fan_out,
                sigma_w_squared=layer.sigma_w_squared,
                sigma_b_squared=layer.bias_variance,
                second_moment=_finite(q[index]),
                log_spread=spread[index],
                correlation=c[index],
                gradient=_finite(float(gradients[index])),
                flat_fraction=float(flat[index]),
                saturated_fraction=float(saturated[index]),
            )
            for index, layer in enumerate(layers)
        ],
        forward_ratio=_finite(forward_ratio),
        gradient_ratio=_finite(gradient_ratio),
        band=(float(np.exp(-spread[-1])), float(np.exp(min(spread[-1], 700.0)))),
        forward=forward,
        backward=backward,
        verdict=verdict,
        forward_lost_at=_first_outside(np.array(q) / q[0] if q[0] > 0 else np.zeros(len(q))),
        gradient_lost_after=_first_outside(gradients[::-1]),
        infinite_depth=limit,
        born_dead_probability=born_dead_probability(activation, layers),
        sentence=_sentence(forward_ratio, gradient_ratio, len(layers) - 1, limit),
        assumptions=list(ASSUMPTIONS),
    )


def second_moments(
    activation: ElementwiseActivation, layers: Sequence[LayerScale], input_second_moment: float = 1.0
) -> tuple[list[float], Floats]:
    """Every layer's q, and the gradient's squared norm there over that at the output: the quick part of `predict`.

    Both are infinite from where q leaves what floating point can be squared in.

    Raises:
        ValueError: as `predict`.
    """
    _check(layers, input_second_moment)
    q = [layers[0].sigma_w_squared * input_second_moment + layers[0].bias_variance]
    chis: list[float] = []
    for layer in layers[1:]:
        chi, following = np.inf, np.inf
        if q[-1] <= CEILING:
            # An expectation that is not finite is raised as such; here it is the answer.
            with suppress(ValueError):
                chi = chi_1(activation, q[-1], layer.sigma_w_squared)
                following = variance_map(activation, q[-1], layer.sigma_w_squared, layer.bias_variance)
        chis.append(chi)
        q.append(following)
    with np.errstate(over="ignore", under="ignore"):
        back = np.cumprod(np.array(chis, dtype=np.float64)[::-1], dtype=np.float64)[::-1]
    return q, np.concatenate([back, np.ones(1)])


def relu_log_spread(depth: int, width: int) -> float:
    """sqrt(5 (depth - 1) / width): scatter of ln q at layer `depth` of a relu network with He's scale.

    Source: Hanin and Rolnick (2018), How to start training: exponential in the sum of inverse widths.
    """
    return float(np.sqrt(5 * max(depth - 1, 0) / width))


def _check(layers: Sequence[LayerScale], input_second_moment: float) -> None:
    if not layers:
        raise ValueError("a network needs at least one layer")
    if not (input_second_moment >= 0 and np.isfinite(input_second_moment)):
        raise ValueError(f"input_second_moment must be a finite number of at least 0, not {input_second_moment}")
    for index, layer in enumerate(layers):
        if min(layer.fan_in, layer.fan_out) < 1:
            raise ValueError(f"layer {index}: fans must be at least 1, not {layer.fan_in} and {layer.fan_out}")
        for name, value in (("weight_variance", layer.weight_variance), ("bias_variance", layer.bias_variance)):
            if not (value >= 0 and np.isfinite(value)):
                raise ValueError(f"layer {index}: {name} must be a finite number of at least 0, not {value}")


def _next_spread(
    activation: ElementwiseActivation, spread: float, q: float, following: float, width: int, layer: LayerScale
) -> float:
    """First order: what is there, times d ln q' / d ln q, and what n units add, Var(f^2) / (n E[f^2]^2)."""
    if q <= 0 or not 0 < following < np.inf:
        return 0.0
    carried = spread * variance_slope(activation, q, layer.sigma_w_squared) * q / following
    mean_square = second_moment(activation, q)
    if mean_square**2 <= 0:
        return abs(carried)
    fourth = _fourth_moment(activation, q)
    share = layer.sigma_w_squared * mean_square / following
    added = max(0.0, fourth / mean_square**2 - 1) / width * share**2
    return float(np.hypot(carried, np.sqrt(added)))


def _fourth_moment(activation: ElementwiseActivation, q: float) -> float:
    if isinstance(activation, GatedLinearUnit):
        return 3 * q**2 * _fourth_moment(activation.gate, q)
    return gaussian_expectation(lambda x: activation.value(x) ** 4, q, activation.kinks)


def _slopes(activation: ElementwiseActivation, q: float) -> tuple[float, float]:
    """Shares of units with no slope, and with little of it, under N(0, q)."""
    if isinstance(activation, GatedLinearUnit):
        return _slopes(activation.gate, q)
    if not 0 < q <= CEILING:
        return 0.0, 0.0
    # An even number of points: none at 0, where many activations have their kink.
    reach = np.linspace(-12.0, 12.0, 20_000)
    weights = np.exp(-np.square(reach) / 2)
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = np.abs(activation.derivative(np.sqrt(q) * reach))
    largest = max(float(slopes.max()), float(np.abs(activation.derivative(reach)).max()))
    flat, little = slopes == 0, slopes < SATURATED_SLOPE * largest
    return float(weights[flat].sum() / weights.sum()), float(weights[little].sum() / weights.sum())


def born_dead_probability(activation: ElementwiseActivation, layers: Sequence[LayerScale]) -> float | None:
    """1 - prod(1 - 2^-n) over the hidden layers but the first: at least so likely a layer is dead from the start.

    None unless the activation is 0 on the whole negative side and no layer has biases.

    Source: Lu et al. (2019), Dying ReLU and initialization, theorem 3.3's bound.
    """
    below = np.array([-100.0, -1.0, -1e-3])
    if isinstance(activation, GatedLinearUnit) or np.any(activation.value(below) != 0):
        return None
    if any(layer.bias_variance > 0 for layer in layers):
        return None
    widths = [layer.fan_out for layer in layers[1:-1]]
    return float(-np.expm1(sum(np.log1p(-(2.0**-width)) for width in widths)))


def health(ratio: float) -> Health:
    """What a factor between the first and the last layer means."""
    if ratio < VANISHING:
        return "vanish"
    return "explode" if ratio > 1 / VANISHING else "ok"


def _first_outside(ratios: Floats) -> int | None:
    outside = np.flatnonzero((ratios < VANISHING) | (ratios > 1 / VANISHING) | np.isnan(ratios))
    return int(outside[0]) if outside.size else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sentence(forward: float, backward: float, hidden: int, limit: FixedPoint) -> str:
    """Say what will happen, with the numbers that say so."""
    signal, gradient = health(forward), health(backward)
    start = "Signals and gradients get through"
    if gradient != "ok":
        start = f"Gradients {gradient}" if signal != gradient else f"Signals and gradients {gradient}"
    elif signal != "ok":
        start = f"Signals {signal}"
    reach = (
        "no limit of depth from the theory"
        if limit.trainable_depth is None
        else f"trainable to a depth of about {max(1, round(limit.trainable_depth))}"
    )
    layers = f"{hidden} hidden layer{'' if hidden == 1 else 's'}"
    return (
        f"{start}: over {layers} the signal's second moment changes by a factor {_factor(forward)} and "
        f"the gradient's, going back, by {_factor(backward)}; {limit.phase} phase, {reach}."
    )


def _factor(ratio: float) -> str:
    return f"{ratio:.2g}" if np.isfinite(ratio) else "beyond floating point"
