"""What runs through one layer: moments, histogram, saturation and dead units."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.diagnostics import HISTOGRAM_EDGES, Quantity


@dataclass(frozen=True)
class RowCounts:
    """How many rows, from the first on, are measured.

    Attributes:
        signals: validation rows for what runs forward.
        dead: validation rows on which a unit has to stay silent to be dead; None for all of them.
        gradients: training rows for what runs backward.
    """

    signals: int
    dead: int | None
    gradients: int


class LayerSignals:
    """The pre-activations and activations ``[trials, rows, units]`` of one layer, as numbers per trial.

    Args:
        pre: pre-activations.
        post: activations; None for the output layer.
        slope: the activation's slope at `pre`; None where it has none (gated units) or none is wanted.
        flat_below: per trial ``[trials, 1, 1]``, the slope under which a pre-activation counts as saturated.
        quantities: the ones to measure.
    """

    def __init__(
        self,
        pre: Tensor,
        post: Tensor | None,
        slope: Tensor | None,
        flat_below: Tensor,
        quantities: AbstractSet[Quantity],
    ) -> None:
        self.values: dict[str, Tensor] = {}
        """One number per trial by name."""
        self.histogram: NDArray[np.int64] | None = None
        """Counts ``[trials, bins]``: below the first edge, the bins, from the last edge on."""
        self.dead: Tensor | None = None
        """Units ``[trials, units]`` that have passed no gradient on these rows."""
        for name, tensor in (("pre_activation", pre), ("activation", post)):
            if tensor is not None and "moments" in quantities:
                self.values[f"{name}_mean"], self.values[f"{name}_variance"] = moments(tensor)
        steepness = None if slope is None else slope.abs()
        if steepness is not None and "saturation" in quantities:
            flat = (steepness < flat_below).flatten(1)
            self.values["saturated_fraction"] = flat.sum(dim=1, dtype=torch.int32).double() / flat.shape[1]
        if post is not None and "histogram" in quantities:
            self.histogram = histogram(post)
        if post is not None and "dead_units" in quantities:
            self.dead = (post.abs() if steepness is None else steepness).amax(dim=1) == 0.0


def moments(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (ddof 0) of each trial of ``[trials, rows, units]``, in two passes."""
    flat = tensor.reshape(len(tensor), -1)
    mean = flat.mean(dim=1, keepdim=True)
    apart = flat - mean
    return mean[:, 0], torch.linalg.vecdot(apart, apart) / flat.shape[1]


def silent(post: Tensor, slope: Tensor | None) -> Tensor:
    """Units ``[trials, units]`` whose slope (for gated units: whose value) is 0 on every row."""
    # The largest of all is four times quicker than asking each for zero; a NaN is no zero either way.
    return (post if slope is None else slope).abs().amax(dim=1) == 0.0


def histogram(activations: Tensor) -> NDArray[np.int64]:
    """Count ``[trials, rows, units]`` into the fixed bins, each with its lower edge; see `LayerSignals.histogram`."""
    # Sorting and looking the edges up is ten times quicker than looking every number up among the edges.
    ordered = np.sort(activations.cpu().numpy().reshape(len(activations), -1), axis=1)
    edges = np.asarray(HISTOGRAM_EDGES, dtype=np.float32)
    below = [[0, *np.searchsorted(row, edges, side="left"), len(row)] for row in ordered]
    return np.diff(np.asarray(below, dtype=np.int64), axis=1)
