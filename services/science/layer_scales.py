"""From an initializer and a network's shape to the variances that signal propagation works with."""

from collections.abc import Sequence

from services.science.activations import BaseActivation
from services.science.initializers import BaseInitializer, LayerContext
from services.science.models.layers import WeightLayer
from services.science.theory.maps import second_moment
from services.science.theory.propagation import LayerScale

_NEGLIGIBLE = 1e-9
STRUCTURED = ("identity", "dirac", "zero")
"""Initializers whose entries are no sample of one distribution."""


def layer_scales(
    activation: BaseActivation,
    initializer: BaseInitializer,
    layers: Sequence[WeightLayer],
    input_second_moment: float = 1.0,
) -> list[LayerScale]:
    """The variance of a weight and of a bias of each layer.

    An initializer that rescales its draw on the data until every layer's pre-activations have variance 1 is given the
    weight variance for which they have.

    Args:
        activation: of the hidden layers.
        initializer: of every layer.
        layers: from the input to the output.
        input_second_moment: mean square of the inputs.

    Raises:
        ValueError: an initializer that has no weight for one of the layers.
    """
    scales: list[LayerScale] = []
    for layer in layers:
        context = _context(layer, len(layers), activation)
        std = initializer.theory(layer.shape, context).std
        if initializer.data_dependent or std is None:
            arriving = input_second_moment if layer.index == 0 else second_moment(activation, 1.0)
            variance = 1.0 / (layer.fan_in * arriving) if arriving > 0 else 0.0
        else:
            variance = std**2
        scales.append(LayerScale(layer.fan_in, layer.fan_out, variance, initializer.bias_variance_of(context)))
    return scales


def scale_notes(activation: BaseActivation, initializer: BaseInitializer, layers: Sequence[WeightLayer]) -> list[str]:
    """Where this initializer does not keep the theory's assumption of independent weights of mean zero."""
    if initializer.data_dependent:
        return ["the scale is set on the data: predicted as if every layer came out at variance 1"]
    notes: list[str] = []
    if initializer.sequential:
        notes.append("the same weights at every seed: what is predicted is the mean over other weights of this scale")
    first = layers[0]
    moments = initializer.theory(first.shape, _context(first, len(layers), activation))
    if initializer.kind in STRUCTURED:
        notes.append("the weights are not drawn alike and independently: expect other values than predicted")
    elif moments.std == 0:
        notes.append("the weights are not random: all units of a layer are alike and no prediction applies")
    if moments.mean and moments.std and abs(moments.mean) > _NEGLIGIBLE * moments.std:
        notes.append(f"the weights have mean {moments.mean:.3g}: the units share a part that the prediction leaves out")
    return notes


def _context(layer: WeightLayer, depth: int, activation: BaseActivation) -> LayerContext:
    return LayerContext(
        fan_in=layer.fan_in,
        fan_out=layer.fan_out,
        layer=layer.index,
        depth=depth,
        is_output=layer.is_output,
        activation=activation,
    )
