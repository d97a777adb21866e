"""What to tell somebody before their experiment runs: scales that cannot work, seeds that cannot decide."""

import math
from collections.abc import Sequence

from services.science.statistics.power import seeds_to_reach
from services.science.theory.maps import scale_exponent
from services.science.theory.propagation import LayerScale, born_dead_probability, health, second_moments
from services.science.theory.quadrature import ElementwiseActivation

ALL_ALIKE = (
    "all weights of a layer start equal, so its units stay equal for the whole run and the layer can learn no more "
    "than one unit of it could"
)
ALL_ALIKE_BUT_FOR_DROPOUT = "all weights of a layer start equal, and only dropout tells its units apart"
STEEP = 1.5
"""From this power on a layer is told from one whose power is 1 (relu) or falls to 1 for large signals (gelu)."""
BEYOND_FLOAT32 = 128.0
"""The power of two at which float32 ends."""
LARGE_Q = 100.0
"""A scale at which activations that are linear in the end have come close to it."""


def submission_warnings(
    activation: ElementwiseActivation,
    layers: Sequence[LayerScale],
    activation_label: str,
    initializer_label: str,
    input_second_moment: float = 1.0,
    batch_norm: bool = False,
) -> list[str]:
    """Warnings about one arm's signal propagation, empty if there is nothing to say.

    Args:
        activation: of the hidden layers.
        layers: from the input to the output.
        activation_label: how to name the activation.
        initializer_label: how to name the initializer.
        input_second_moment: mean square of the inputs.
        batch_norm: whether hidden layers are normalized, which takes out the scale of the weights: no warning then.
    """
    if batch_norm or len(layers) < 2:
        return []
    who = f"{initializer_label} with {activation_label} at depth {len(layers) - 1}"
    if all(layer.weight_variance == 0 for layer in layers[:-1]):
        return [f"{who}: {ALL_ALIKE}"]
    try:
        q, gradients = second_moments(activation, layers, input_second_moment)
    except ValueError:
        return [f"{who}: activations grow beyond what numbers can hold"]
    forward, backward = (q[-1] / q[0] if q[0] > 0 else 0.0), float(gradients[0])
    texts: list[str] = []
    if health(forward) != "ok":
        texts.append(f"activations {_change(forward)} in variance from the first layer to the last")
    if health(backward) != "ok":
        texts.append(f"gradients {_change(backward)} in squared norm on the way back")
    power = power_of_scale(activation, len(layers) - 1)
    if power is not None:
        texts.append(f"{compounding(power)}; layer_norm would keep rows alike")
    elif not texts:
        apart = rows_apart(activation, layers, input_second_moment)
        if apart is not None:
            texts.append(f"{drifting(apart)}; layer_norm would keep rows alike")
    dead = born_dead_probability(activation, layers)
    if dead is not None and dead > 0.01:
        texts.append(f"with probability {dead:.2g} or more some layer is dead from the start, being so narrow")
    return [f"{who}: {text}" for text in texts]


def power_of_scale(activation: ElementwiseActivation, depth: int) -> float | None:
    """The power of a row's own scale that `depth` hidden layers pass on, where it compounds; else None.

    One layer compounds nothing. Activations that become linear (or bounded) for large signals do not either.
    """
    if depth < 2:
        return None
    try:
        exponent = scale_exponent(activation)
        if exponent < STEEP or scale_exponent(activation, LARGE_Q) < STEEP:
            return None
    except (ValueError, ZeroDivisionError):
        return None
    return exponent**depth


def compounding(power: float) -> str:
    """What `power_of_scale` means for a row."""
    size = f"about 2^{round(power)} times as large" if power < BEYOND_FLOAT32 else "larger than numbers can hold"
    return f"a row of twice the usual mean square comes out {size}, at whatever scale the weights start"


def rows_apart(
    activation: ElementwiseActivation, layers: Sequence[LayerScale], input_second_moment: float = 1.0
) -> float | None:
    """How far apart two rows come out, of half and of twice the usual mean square, where that is too far; else None.

    The factor between their mean squares in the output, infinite beyond floating point. 4 for relu; about 1 where the
    scale has an attracting fixed point. Where the fixed point is unstable (gelu and silu at a mean square of 1) depth
    sends one row to nothing and the other beyond all bounds, although a row of just the usual scale passes unchanged.
    """
    try:
        low, _ = second_moments(activation, layers, input_second_moment / 2)
        high, _ = second_moments(activation, layers, input_second_moment * 2)
    except ValueError:
        return math.inf
    if not (low[-1] > 0 and math.isfinite(high[-1])):
        return math.inf
    factor = high[-1] / low[-1]
    return factor if health(factor) != "ok" else None


def drifting(apart: float) -> str:
    """What `rows_apart` means."""
    factor = f"a factor of about 2^{round(math.log2(apart))}" if math.isfinite(apart) else "further than numbers reach"
    return f"rows of half and of twice the usual mean square are driven {factor} apart"


def seed_warnings(arms: int, seeds: int, confidence: float = 0.95) -> list[str]:
    """Warn if so many seeds can never tell so many arms apart, whatever they measure."""
    pairs = arms * (arms - 1) // 2
    if pairs == 0:
        return []
    needed = seeds_to_reach(round(1 - confidence, 12), pairs)
    if seeds >= needed:
        return []
    what = "one pair of arms" if pairs == 1 else f"{pairs} pairs of arms"
    count = f"{seeds} seed{'' if seeds == 1 else 's'}"
    limit = f"a paired permutation test of {what} needs at least {needed}"
    return [f"{count} cannot tell arms apart at the {1 - confidence:.3g} level: {limit}"]


def _change(ratio: float) -> str:
    """A factor as a power of two, which is how relu's halves add up."""
    verb = "shrink" if ratio < 1 else "grow"
    if ratio == 0 or not math.isfinite(ratio):
        return f"{verb} beyond floating point"
    return f"{verb} about 2^{round(math.log2(ratio))}"
