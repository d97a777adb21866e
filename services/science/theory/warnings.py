"""What to tell somebody before their experiment runs: scales that cannot work, seeds that cannot decide."""

import math
from collections.abc import Sequence

from services.science.statistics.power import seeds_to_reach
from services.science.theory.propagation import LayerScale, born_dead_probability, health, second_moments
from services.science.theory.quadrature import ElementwiseActivation


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
        return [f"{who}: all weights of a layer start equal, so its units stay equal and only the biases can learn"]
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
    dead = born_dead_probability(activation, layers)
    if dead is not None and dead > 0.01:
        texts.append(f"with probability {dead:.2g} or more some layer is dead from the start, being so narrow")
    return [f"{who}: {text}" for text in texts]


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
