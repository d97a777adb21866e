"""What to tell somebody before their experiment runs: scales that cannot work, seeds that cannot decide."""

import math
from collections.abc import Sequence

from services.science.statistics.power import seeds_to_reach
from services.science.theory.propagation import LayerScale, Prediction, predict
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
        prediction = predict(activation, layers, input_second_moment)
    except ValueError:
        return [f"{who}: activations grow beyond what numbers can hold"]
    return [f"{who}: {text}" for text in _texts(prediction)]


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


def _texts(prediction: Prediction) -> list[str]:
    texts: list[str] = []
    if prediction.forward != "ok":
        grows = prediction.forward == "explode"
        texts.append(f"activations {'grow' if grows else 'shrink'} {_power(prediction.forward_ratio)} in variance")
    if prediction.backward != "ok":
        grows = prediction.backward == "explode"
        texts.append(f"gradients {'grow' if grows else 'shrink'} {_power(prediction.gradient_ratio)} in squared norm")
    dead = prediction.born_dead_probability
    if dead is not None and dead > 0.01:
        texts.append(f"with probability {dead:.2g} or more some layer is dead from the start, being so narrow")
    return texts


def _power(ratio: float | None) -> str:
    """A factor as a power of two, which is how relu's halves add up."""
    if ratio is None or ratio == 0:
        return "beyond floating point"
    return f"about 2^{round(math.log2(ratio))}"
