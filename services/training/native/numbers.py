"""All numbers of a cohort that training changes, in NumPy arrays that the kernel works on."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.training.native.description import NativeDescription
from services.training.native.layout import Layout, Pair, aligned_zeros
from services.training.native.members import LEARNED, Member, encode_activation, optimizer_slots

RESIDUALS = -1
"""In place of an optimizer's array: what rounding has taken from the parameters."""


class CohortNumbers:
    """Parameters, what rounding took from them, optimizer state and moving statistics of T trials.

    Args:
        description: what is trained.
        weights: per layer ``[T, fan_in, fan_out]``.
        biases: per layer ``[T, fan_out]``.

    Raises:
        ValueError: shapes that do not fit.
    """

    def __init__(self, description: NativeDescription, weights: Sequence[NDArray], biases: Sequence[NDArray]) -> None:
        self.trials = len(description.activations)
        self._layout = description.layout
        size, slots = self._layout.length, max(optimizer_slots(optimizer) for optimizer in description.optimizers)
        self._parameters = aligned_zeros((self.trials, size))
        self._residuals = aligned_zeros((self.trials, size))
        self._moments = aligned_zeros((self.trials, slots, size))
        self._steps = np.zeros(self.trials, dtype=np.int64)
        self._statistics = aligned_zeros((self.trials, int(self._layout.statistics[-1])))
        self.set_parameters(weights, biases)
        for scale, _ in self.scale_views():
            scale[...] = 1.0
        for _, variance in self.statistics_views():
            variance[...] = 1.0
        for trial, activation in enumerate(description.activations):
            for slope in self.slope_views() if activation.get("kind") in LEARNED else []:
                slope[trial] = encode_activation(activation)[1][0]
        for trial, optimizer in enumerate(description.optimizers):
            if optimizer.get("kind") == "adagrad":
                self._start_moment(trial, optimizer)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Batches taken, ``[T]``; writable."""
        return self._steps

    @property
    def moment_slots(self) -> int:
        """Arrays the optimizers keep beside the parameters."""
        return self._moments.shape[1]

    @property
    def layout(self) -> Layout:
        """Where a trial's numbers lie."""
        return self._layout

    def layer_views(self, which: int | None = None) -> list[NDArray[np.float32]]:
        """Writable views ``[T, fan_in + 1, fan_out]`` of every layer; the last row is the bias.

        Args:
            which: None for the parameters, `RESIDUALS`, or the number of an optimizer's array.
        """
        return self._layout.views(self.lines(which))

    def scale_views(self, which: int | None = None) -> list[Pair]:
        """Writable views of every hidden layer's scale and shift, ``[T, width]`` each; `which` as for `layer_views`."""
        return self._layout.scale_views(self.lines(which))

    def slope_views(self, which: int | None = None) -> list[NDArray[np.float32]]:
        """Writable views ``[T, 1]`` of every hidden layer's trained slope; `which` as for `layer_views`."""
        return self._layout.slope_views(self.lines(which))

    def statistics_views(self) -> list[Pair]:
        """Writable views of every hidden layer's moving mean and variance, ``[T, width]`` each."""
        return self._layout.statistics_views(self._statistics)

    def get_parameters(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Copies of the weights ``[T, fan_in, fan_out]`` and biases ``[T, fan_out]`` of every layer."""
        layers = self.layer_views()
        return [layer[:, :-1].copy() for layer in layers], [layer[:, -1].copy() for layer in layers]

    def set_parameters(self, weights: Sequence[NDArray], biases: Sequence[NDArray]) -> None:
        """Take over weights and biases, shaped as `get_parameters` gives them.

        Raises:
            ValueError: shapes that do not fit.
        """
        layers = self.layer_views()
        if len(weights) != len(layers) or len(biases) != len(layers):
            raise ValueError(f"{len(layers)} layers need as many weights and biases, not {len(weights)}, {len(biases)}")
        for number, (layer, weight, bias) in enumerate(zip(layers, weights, biases, strict=True)):
            if weight.shape != layer[:, :-1].shape or bias.shape != layer[:, -1].shape:
                shapes = f"{layer[:, :-1].shape} and {layer[:, -1].shape}"
                raise ValueError(f"layer {number} needs shapes {shapes}, not {weight.shape} and {bias.shape}")
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            layer[:, :-1], layer[:, -1] = weight, bias
        self._residuals[...] = 0.0

    def get_state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all that `set_state` needs to go on bit for bit; every array's first axis is the trial."""
        return {name: array.copy() for name, array in self._numbers().items()}

    def set_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take over what `get_state` gave.

        Raises:
            ValueError: a name or shape that does not fit.
        """
        own = self._numbers()
        if set(state) != set(own):
            raise ValueError(f"the state must hold {', '.join(own)}, not {', '.join(state)}")
        for name, array in own.items():
            if state[name].shape != array.shape or state[name].dtype != array.dtype:
                expected = f"{array.dtype} of shape {array.shape}"
                raise ValueError(f"{name} must be {expected}, not {state[name].dtype} of shape {state[name].shape}")
        for name, array in own.items():
            array[...] = state[name]

    def finite(self) -> NDArray[np.bool_]:
        """Which layers hold finite parameters and moving statistics only, ``[T, layers]``."""
        finite = np.stack([np.isfinite(layer).all(axis=(1, 2)) for layer in self.layer_views()], axis=1)
        pairs = itertools.chain(enumerate(self.scale_views()), enumerate(self.statistics_views()))
        for layer, (first, second) in pairs:
            finite[:, layer] &= np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        for layer, slope in enumerate(self.slope_views()):
            finite[:, layer] &= np.isfinite(slope[:, 0])
        return finite

    def _numbers(self) -> dict[str, NDArray[np.generic]]:
        return {
            "parameters": self._parameters,
            "residuals": self._residuals,
            "moments": self._moments,
            "steps": self._steps,
            "statistics": self._statistics,
        }

    def lines(self, which: int | None) -> NDArray[np.float32]:
        """The arrays of all trials as they lie in memory, ``[T, length]``; `which` as for `layer_views`."""
        if which is None:
            return self._parameters
        return self._residuals if which == RESIDUALS else self._moments[:, which]

    def _start_moment(self, trial: int, optimizer: Member) -> None:
        """Give the first of an optimizer's arrays its starting value, but not in the padding."""
        start = float(optimizer.get("initial_accumulator", 0.0))  # pyright: ignore[reportArgumentType]
        pairs = itertools.chain.from_iterable(self.scale_views(0))
        for view in [*self.layer_views(0), *pairs, *self.slope_views(0)]:
            view[trial] = start
