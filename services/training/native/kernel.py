"""A cohort whose numbers live in NumPy arrays and are trained by the compiled kernel."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.training.native.description import NativeDescription, unsupported
from services.training.native.layout import ALIGNMENT, Layout, aligned_zeros, tiles
from services.training.native.members import LOSSES, Member, encode_activation, encode_optimizer, optimizer_slots
from services.training.native.structures import Rows, Settings, Shape, kernel
from services.training.native.watch import Tick, watched

SUMS = np.dtype(
    [("loss", "f8"), ("absolute", "f8"), ("squared", "f8"), ("correct", "i8"), ("lowest", "f8"), ("highest", "f8")]
)


@dataclass(frozen=True)
class NativeSums:
    """What rows added up to, per trial: float64, `correct` int64. Fields a loss does not have are zero.

    `diverged_row` is the position in the epoch's order of the first batch with a non-finite loss, -1 if there is none;
    such a trial stops there, before that batch changes it.
    """

    rows: int
    loss: NDArray[np.float64]
    correct: NDArray[np.int64]
    absolute: NDArray[np.float64]
    squared: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    diverged_row: NDArray[np.int64] | None = None


@dataclass
class _Data:
    rows: Rows
    keep: list[NDArray] = field(default_factory=list)


class NativeCohort:
    """Parameters and optimizer state of T trials, and the kernel's two programs on them.

    Args:
        description: what to train.
        weights: per layer ``[T, fan_in, fan_out]``.
        biases: per layer ``[T, fan_out]``.
        threads: at most so many are used; no number depends on it.
        library: the compiled kernel; default: the one made for this machine.

    Raises:
        ValueError: something the kernel does not do, or shapes that do not fit.
        KernelUnavailableError: the kernel cannot be compiled or loaded here.
    """

    def __init__(
        self,
        description: NativeDescription,
        weights: Sequence[NDArray],
        biases: Sequence[NDArray],
        threads: int = 1,
        library: ctypes.CDLL | None = None,
    ) -> None:
        if reason := unsupported(description):
            raise ValueError(reason)
        self.description = description
        self.threads = max(1, threads)
        self.trials = len(description.activations)
        self._library = library or kernel()
        self._layout = Layout(description.widths)
        self._widths = np.array(description.widths, dtype=np.int32)
        self._offsets = self._layout.offsets
        size = int(self._offsets[-1])
        slots = max(optimizer_slots(optimizer) for optimizer in description.optimizers)
        self._parameters = aligned_zeros((self.trials, size))
        self._residuals = aligned_zeros((self.trials, size))
        self._moments = aligned_zeros((self.trials, slots, size))
        self._steps = np.zeros(self.trials, dtype=np.int64)
        self._shape = Shape(
            layers=self._layout.layers,
            batch_size=description.batch_size,
            loss=LOSSES.index(description.loss),
            huber_delta=description.huber_delta,
            widths=self._widths.ctypes.data,
            offsets=self._offsets.ctypes.data,
            parameters=size,
            moments=slots * size,
        )
        self._settings = (Settings * self.trials)(*map(_settings, description.activations, description.optimizers))
        self._rates = np.array([_number(optimizer, "learning_rate", 0.01) for optimizer in description.optimizers])
        for trial, optimizer in enumerate(description.optimizers):
            if optimizer.get("kind") == "adagrad":
                for layer in self._layout.views(self._moments[trial]):
                    layer[0] = _number(optimizer, "initial_accumulator", 0.0)
        self.set_parameters(weights, biases)
        self._train: _Data | None = None
        self._validation: _Data | None = None

    # ---- data -------------------------------------------------------------------------------------------------------

    def set_training_rows(self, x: NDArray, y: NDArray) -> None:
        """Hold the training rows: features ``[n, inputs]``; targets ``[n, outputs]`` or class numbers ``[n]``."""
        self._check_rows(x, y)
        inputs = self._widths[0]
        stride = -(-int(inputs) // 8) * 8
        # The kernel reads whole vectors: up to a vector beyond the last row.
        held = np.zeros(len(x) * stride + 2 * ALIGNMENT, dtype=np.float32)
        held[: len(x) * stride].reshape(len(x), stride)[:, :inputs] = x
        self._train = self._data(len(x), stride, held, self._held_targets(y))

    def set_validation_rows(self, x: NDArray, y: NDArray) -> None:
        """Hold the rows that `evaluate` measures, in the same form as the training rows."""
        self._check_rows(x, y)
        chunk = self._library.firstlight_chunk()
        targets = tiles(np.asarray(y, dtype=np.int32 if self._classes else np.float32), chunk)
        self._validation = self._data(len(x), 0, tiles(np.asarray(x, dtype=np.float32), chunk), targets)

    @property
    def _classes(self) -> bool:
        return self.description.loss in ("cross_entropy", "binary_cross_entropy")

    def _check_rows(self, x: NDArray, y: NDArray) -> None:
        n, inputs, outputs = len(x), self.description.widths[0], self.description.widths[-1]
        if x.shape != (n, inputs) or n == 0:
            raise ValueError(f"features must have shape (n >= 1, {inputs}), not {x.shape}")
        wanted = (n,) if self._classes else (n, outputs)
        if y.shape != wanted:
            raise ValueError(f"targets must have shape {wanted}, not {y.shape}")
        classes = 2 if self.description.loss == "binary_cross_entropy" else outputs
        if self._classes and not (np.issubdtype(y.dtype, np.integer) and y.min() >= 0 and y.max() < classes):
            raise ValueError(f"class numbers must be whole and in 0..{classes - 1}")

    def _held_targets(self, y: NDArray) -> NDArray:
        if self._classes:
            return np.ascontiguousarray(y, dtype=np.int32)
        held = np.zeros(y.size + 2 * ALIGNMENT, dtype=np.float32)
        held[: y.size] = y.reshape(-1)
        return held

    def _data(self, count: int, stride: int, inputs: NDArray, targets: NDArray) -> _Data:
        regression = None if self._classes else targets.ctypes.data
        labels = targets.ctypes.data if self._classes else None
        return _Data(Rows(count, stride, inputs.ctypes.data, regression, labels), [inputs, targets])

    # ---- work -------------------------------------------------------------------------------------------------------

    def run_epoch(
        self,
        order: NDArray[np.int32],
        order_of_trial: NDArray[np.int32] | None = None,
        learning_rates: NDArray[np.float64] | None = None,
        tick: Tick | None = None,
        skip: NDArray[np.bool_] | None = None,
    ) -> NativeSums | None:
        """Train one epoch.

        Args:
            order: rows in the order they are used, ``[orders, n]``; one line per trial, or see `order_of_trial`.
            order_of_trial: which line of `order` each trial follows, ``[T]``.
            learning_rates: ``[T]``, in place of the optimizers' own.
            tick: called while the kernel runs.
            skip: trials that are left as they are, ``[T]``; their sums are zero.

        Returns:
            Sums over the epoch's rows of the loss each row had when its batch was used; None when `tick` asked to
            stop: then the parameters are somewhere in mid-epoch.

        Raises:
            ValueError: no training rows, or an order that does not fit them.
        """
        if self._train is None:
            raise ValueError("set the training rows first")
        n = self._train.rows.count
        order = np.ascontiguousarray(order, dtype=np.int32)
        line = np.arange(self.trials) if order_of_trial is None else order_of_trial
        line = np.ascontiguousarray(line, dtype=np.int32)
        if order.ndim != 2 or order.shape[1] != n or order.min() < 0 or order.max() >= n:
            raise ValueError(f"order must hold {n} row numbers of 0..{n - 1} per line, not shape {order.shape}")
        if line.shape != (self.trials,) or line.min() < 0 or line.max() >= len(order):
            raise ValueError(f"order_of_trial must name one of {len(order)} lines for each of {self.trials} trials")
        rates = np.ascontiguousarray(self._rates if learning_rates is None else learning_rates, dtype=np.float64)
        if rates.shape != (self.trials,):
            raise ValueError(f"learning_rates must have shape ({self.trials},), not {rates.shape}")
        sums = np.zeros(self.trials, dtype=SUMS)
        diverged = np.full(self.trials, -1, dtype=np.int64)
        if skip is not None:
            diverged[skip] = 0
        done, stop = ctypes.c_int64(0), ctypes.c_int32(0)
        data = self._train.rows

        def work() -> int:
            return self._library.firstlight_train(
                ctypes.byref(self._shape), self.trials, self._settings, rates.ctypes.data, self._parameters.ctypes.data,
                self._residuals.ctypes.data, self._moments.ctypes.data, self._steps.ctypes.data, ctypes.byref(data),
                order.ctypes.data, line.ctypes.data, self.threads, ctypes.byref(stop), ctypes.byref(done),
                sums.ctypes.data, diverged.ctypes.data,
            )  # fmt: skip

        if not watched(work, tick, stop, lambda: done.value / (self.trials * n)):
            return None
        if skip is not None:
            diverged[skip] = -1
        return _sums(n, sums, diverged)

    def evaluate(self, tick: Tick | None = None) -> NativeSums | None:
        """Measure every trial on the validation rows; None when `tick` asked to stop.

        Raises:
            ValueError: no validation rows.
        """
        if self._validation is None:
            raise ValueError("set the validation rows first")
        sums = np.zeros(self.trials, dtype=SUMS)
        sums["lowest"], sums["highest"] = np.inf, -np.inf
        stop = ctypes.c_int32(0)
        data = self._validation.rows

        def work() -> int:
            return self._library.firstlight_evaluate(
                ctypes.byref(self._shape), self.trials, self._settings, self._parameters.ctypes.data,
                ctypes.byref(data), self.threads, ctypes.byref(stop), sums.ctypes.data,
            )  # fmt: skip

        return _sums(data.count, sums) if watched(work, tick, stop, lambda: 0.0) else None

    # ---- numbers ----------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> NDArray[np.int64]:
        """Batches taken, ``[T]``; writable."""
        return self._steps

    @property
    def moment_slots(self) -> int:
        """Arrays the optimizers keep beside the parameters."""
        return self._moments.shape[1]

    def parameter_views(self) -> list[NDArray[np.float32]]:
        """Writable views ``[T, fan_in + 1, fan_out]`` of every layer; the last row is the bias."""
        return self._layout.views(self._parameters)

    def residual_views(self) -> list[NDArray[np.float32]]:
        """Writable views of what rounding has taken from the parameters, shaped as `parameter_views`."""
        return self._layout.views(self._residuals)

    def moment_views(self, slot: int) -> list[NDArray[np.float32]]:
        """Writable views of one of the optimizers' arrays, shaped as `parameter_views`."""
        return self._layout.views(self._moments[:, slot])

    def get_parameters(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Copies of the weights ``[T, fan_in, fan_out]`` and biases ``[T, fan_out]`` of every layer."""
        layers = self.parameter_views()
        return [layer[:, :-1].copy() for layer in layers], [layer[:, -1].copy() for layer in layers]

    def set_parameters(self, weights: Sequence[NDArray], biases: Sequence[NDArray]) -> None:
        """Take over weights and biases, shaped as `get_parameters` gives them.

        Raises:
            ValueError: shapes that do not fit.
        """
        layers = self.parameter_views()
        if len(weights) != len(layers) or len(biases) != len(layers):
            raise ValueError(f"{len(layers)} layers need as many weights and biases, not {len(weights)}, {len(biases)}")
        for number, (layer, weight, bias) in enumerate(zip(layers, weights, biases, strict=True)):
            if weight.shape != layer[:, :-1].shape or bias.shape != layer[:, -1].shape:
                wanted = f"{layer[:, :-1].shape} and {layer[:, -1].shape}"
                raise ValueError(f"layer {number} needs shapes {wanted}, not {weight.shape} and {bias.shape}")
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
                wanted = f"{array.dtype} of shape {array.shape}"
                raise ValueError(f"{name} must be {wanted}, not {state[name].dtype} of shape {state[name].shape}")
        for name, array in own.items():
            array[...] = state[name]

    def _numbers(self) -> dict[str, NDArray[np.generic]]:
        return {
            "parameters": self._parameters,
            "residuals": self._residuals,
            "moments": self._moments,
            "steps": self._steps,
        }

    def finite(self) -> NDArray[np.bool_]:
        """Which layers hold finite parameters only, ``[T, layers]``."""
        return np.stack([np.isfinite(layer).all(axis=(1, 2)) for layer in self.parameter_views()], axis=1)


def _number(member: Member, name: str, default: float) -> float:
    return float(member.get(name, default))  # pyright: ignore[reportArgumentType]


def _settings(activation: Member, optimizer: Member) -> Settings:
    code, numbers = encode_activation(activation)
    return Settings(activation=code, activation_parameters=numbers, **encode_optimizer(optimizer))


def _sums(rows: int, sums: NDArray[np.void], diverged: NDArray[np.int64] | None = None) -> NativeSums:
    columns = {name: np.ascontiguousarray(sums[name]) for name in SUMS.names or ()}
    return NativeSums(rows=rows, diverged_row=diverged, **columns)
