"""How much arithmetic a network is for each row: what a prediction of time counts, and a calibration divides by."""

import math
from collections.abc import Sequence

from services.science.models.layers import Stage

NORM_OPERATIONS = 30
"""Of a normalisation for each number, there and back; what moves them through the caches counts too."""
DROPOUT_OPERATIONS = 10
"""The same for dropout, whose random numbers the trials of a seed share."""


def products(network: Sequence[Stage]) -> int:
    """Multiplications by a weight of one row's way forward."""
    return sum(stage.layer.parameters * stage.places for stage in network)


def training_operations(network: Sequence[Stage]) -> int:
    """Operations of one row's way forward and back, multiply and add counted apart.

    Forward, backward to the input and to the weights are three times `products`, of two operations each.
    """
    norms = sum(stage.norm_width * stage.places for stage in network)
    return 6 * products(network) + NORM_OPERATIONS * norms + DROPOUT_OPERATIONS * dropped(network)


def dropped(network: Sequence[Stage]) -> int:
    """Numbers of one row that pass through dropout."""
    return sum(math.prod(stage.shape) for stage in network if stage.dropout)


def kept(network: Sequence[Stage]) -> int:
    """Numbers of one row that are kept for the way back: pre-activations, and what a normalisation adds."""
    return sum(stage.places * (stage.layer.channels + stage.norm_width) for stage in network)


def ranked(network: Sequence[Stage], largest: int) -> int:
    """Sum of the cubed smaller sides of the weight matrices that have an effective rank: those up to `largest`.

    A convolution's kernels stand in the columns of a matrix.
    """
    sides = [min(math.prod(stage.layer.shape) // stage.layer.channels, stage.layer.channels) for stage in network]
    return sum(side**3 for side in sides if side <= largest)
