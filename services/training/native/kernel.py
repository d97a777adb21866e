"""A cohort whose numbers live in NumPy arrays and are trained by the compiled kernel."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.training.native.between import NORMS
from services.training.native.description import NativeDescription, unsupported
from services.training.native.layout import ALIGNMENT, tiles
from services.training.native.measured import Ask
from services.training.native.members import LEARNED, LOSSES, Member, encode_activation, encode_optimizer
from services.training.native.numbers import CohortNumbers
from services.training.native.structures import LAYER, SUMS, Between, Control, Rows, Settings, Shape, kernel
from services.training.native.watch import Tick, Watch, watched

NEAR = 64.0 * 2.0**-24
"""Times the largest target, or 1: a residual smaller than that is not sure of its sign in float32; see signs.hpp."""


@dataclass(frozen=True)
class NativeSums:
    """What rows added up to, per trial: float64, `correct` int64. Fields a loss does not have are zero.

    `diverged_row` is the position in the epoch's order of the first batch with a non-finite loss, -1 if there is none;
    such a trial stops there, before that batch changes it. `used` is how many rows of the epoch a trial is done with.
    """

    rows: int
    loss: NDArray[np.float64]
    correct: NDArray[np.int64]
    absolute: NDArray[np.float64]
    squared: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    diverged_row: NDArray[np.int64] | None = None
    used: NDArray[np.int64] | None = None

    @property
    def whole(self) -> bool:
        """Whether every trial has used all rows."""
        return self.used is None or bool((self.used == self.rows).all())


@dataclass
class _Data:
    rows: Rows
    keep: list[NDArray] = field(default_factory=list)


class NativeCohort(CohortNumbers):
    """Parameters and optimizer state of T trials, and the kernel's programs on them.

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
        super().__init__(description, weights, biases)
        self.description = description
        self.threads = max(1, threads)
        self._library = library or kernel()
        self._widths = np.array(description.widths, dtype=np.int32)
        self._offsets = self._layout.offsets
        self._between, self._between_places = self._make_between()
        self._shape = Shape(
            layers=self._layout.layers,
            batch_size=description.batch_size,
            loss=LOSSES.index(description.loss),
            huber_delta=description.huber_delta,
            widths=self._widths.ctypes.data,
            offsets=self._offsets.ctypes.data,
            parameters=self._layout.length,
            moments=self.moment_slots * self._layout.length,
            between=None if description.plain else ctypes.pointer(self._between),
        )
        self._settings = (Settings * self.trials)(*map(_settings, description.activations, description.optimizers))
        self._rates = np.array([_number(optimizer, "learning_rate", 0.01) for optimizer in description.optimizers])
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
        shape = (n,) if self._classes else (n, outputs)
        if y.shape != shape:
            raise ValueError(f"targets must have shape {shape}, not {y.shape}")
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
        near = 0.0 if self._classes else NEAR * max(1.0, float(np.abs(targets).max()))
        return _Data(Rows(count, stride, inputs.ctypes.data, regression, labels, near), [inputs, targets])

    # ---- work -------------------------------------------------------------------------------------------------------

    def run_epoch(
        self,
        order: NDArray[np.int32],
        order_of_trial: NDArray[np.int32] | None = None,
        learning_rates: NDArray[np.float64] | None = None,
        tick: Tick | None = None,
        dropout: tuple[NDArray[np.uint64], int] | None = None,
        skip: NDArray[np.bool_] | None = None,
        begun: NativeSums | None = None,
    ) -> NativeSums:
        """Train one epoch to its end, or, when `tick` asks to stop, to the end of the batch that each trial is at.

        Args:
            order: rows in the order they are used, ``[orders, n]``; one line per trial, or see `order_of_trial`.
            order_of_trial: which line of `order` each trial follows, ``[T]``.
            learning_rates: ``[T]``, in place of the optimizers' own.
            tick: called while the kernel runs.
            dropout: the key of the Philox stream that each trial's masks are drawn from: its first word per trial,
                ``[T]``, and the second, the same for all.
            skip: trials that are left as they are, ``[T]``; their sums are zero.
            begun: what an earlier call for the same epoch returned; it is gone on with from there.

        Returns:
            Sums over the epoch's rows of the loss each row had when its batch was used.

        Raises:
            ValueError: no training rows, an order that does not fit them, or dropout without its streams.
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
        if self.description.between.dropout and dropout is None:
            raise ValueError("a network with dropout needs the streams of its masks")
        seeds, word = dropout or (np.zeros(self.trials, dtype=np.uint64), 0)
        seeds = np.ascontiguousarray(seeds, dtype=np.uint64)
        if seeds.shape != (self.trials,):
            raise ValueError(f"dropout needs one seed for each of {self.trials} trials, not shape {seeds.shape}")
        sums, used = np.zeros(self.trials, dtype=SUMS), np.zeros(self.trials, dtype=np.int64)
        diverged = np.full(self.trials, -1, dtype=np.int64)
        if begun is not None and begun.used is not None:
            sums["loss"], sums["correct"], used[:] = begun.loss, begun.correct, begun.used
        if skip is not None:
            diverged[skip] = 0
        control = Control(done=int(used.sum()))
        data = self._train.rows

        def work() -> int:
            return self._library.firstlight_train(
                ctypes.byref(self._shape), self.trials, self._settings, rates.ctypes.data, self._parameters.ctypes.data,
                self._residuals.ctypes.data, self._moments.ctypes.data, self._steps.ctypes.data,
                self._statistics.ctypes.data, ctypes.byref(data), order.ctypes.data, line.ctypes.data,
                seeds.ctypes.data, word, self.threads, ctypes.byref(control),
                sums.ctypes.data, diverged.ctypes.data, used.ctypes.data,
            )  # fmt: skip

        watched(work, tick, Watch(self._library, control, self.trials * n))
        if skip is not None:
            diverged[skip] = -1
        return _sums(n, sums, diverged, used)

    def evaluate(
        self, tick: Tick | None = None, statistics: NDArray[np.float32] | None = None, *, own: bool = False
    ) -> NativeSums | None:
        """Measure every trial on the validation rows; None when `tick` asked to stop.

        Args:
            tick: called while the kernel runs.
            statistics: batch norm's, as `pooled_statistics` gives them; the moving ones when left out.
            own: normalise each batch of validation rows by its own statistics instead.

        Raises:
            ValueError: no validation rows.
        """
        if self._validation is None:
            raise ValueError("set the validation rows first")
        sums = np.zeros(self.trials, dtype=SUMS)
        sums["lowest"], sums["highest"] = np.inf, -np.inf
        control = Control()
        data = self._validation.rows
        statistics = self._statistics if statistics is None else statistics

        def work() -> int:
            return self._library.firstlight_evaluate(
                ctypes.byref(self._shape), self.trials, self._settings, self._parameters.ctypes.data,
                statistics.ctypes.data, int(own), ctypes.byref(data), self.threads, ctypes.byref(control),
                sums.ctypes.data,
            )  # fmt: skip

        return _sums(data.count, sums) if watched(work, tick, Watch(self._library, control)) else None

    def measure(
        self, parameters: NDArray[np.float32], ask: Ask, flat_below: NDArray[np.float32], healthy: NDArray[np.bool_]
    ) -> NDArray[np.void]:
        """Look at the layers of networks with the given parameters; may be called while the kernel trains its own.

        Args:
            parameters: in place of the cohort's own, as they lie in memory ``[T, length]``.
            ask: what is measured, and on how many rows.
            flat_below: the slope under which an activation is flat, ``[T]``.
            healthy: the trials that are measured, ``[T]``; the numbers of others are zero.

        Returns:
            Entries of `LAYER`, ``[T, layers]``.

        Raises:
            ValueError: no rows.
            MemoryError: no room for the kernel's buffers.
        """
        if self._train is None or self._validation is None:
            raise ValueError("set the training and the validation rows first")
        measured = np.zeros((self.trials, self._layout.layers), dtype=LAYER)
        flat_below, chosen = np.ascontiguousarray(flat_below, dtype=np.float32), healthy.astype(np.uint8)
        probe = ask.structure(self._train.rows, self._validation.rows, flat_below, chosen)
        shape = Shape.from_buffer_copy(self._shape)
        # Batch norm takes the statistics of as many rows as are looked at together.
        shape.batch_size = max(ask.signal_rows, ask.gradient_rows)
        shape.between = ctypes.pointer(self._between)
        status = self._library.firstlight_measure(
            ctypes.byref(shape), self.trials, self._settings, parameters.ctypes.data, ctypes.byref(probe), 1,
            measured.ctypes.data,
        )  # fmt: skip
        if status:
            raise MemoryError("the kernel's buffers for measuring layers do not fit into memory")
        return measured

    def pooled_statistics(self, count: int, tick: Tick | None = None) -> NDArray[np.float32] | None:
        """Batch norm's statistics over the first `count` training rows; None when `tick` asked to stop.

        Raises:
            ValueError: no training rows, or no batch norm.
        """
        if self._train is None or not self._layout.moving:
            raise ValueError("set the training rows of a network with batch norm first")
        pooled, control = np.zeros_like(self._statistics), Control()
        data = self._train.rows

        def work() -> int:
            return self._library.firstlight_pool(
                ctypes.byref(self._shape), self.trials, self._settings, self._parameters.ctypes.data,
                ctypes.byref(data), min(count, data.count), self.threads, ctypes.byref(control), pooled.ctypes.data,
            )  # fmt: skip

        return pooled if watched(work, tick, Watch(self._library, control)) else None

    def _make_between(self) -> tuple[Between, list[NDArray[np.int64]]]:
        """The kernel's structure, and the arrays it points into."""
        chosen, layout = self.description.between, self._layout
        places = [layout.scales, layout.slopes, layout.statistics]
        made = Between(
            norm=NORMS.index(chosen.norm),
            after=chosen.after,
            factor=layout.factor,
            residual=chosen.residual,
            learned=layout.learned,
            keep_from=chosen.keep_from,
            enlarge=1.0 / (1.0 - chosen.dropout),
            epsilon=chosen.epsilon,
            fresh=1.0 - chosen.decay,
            scales=places[0].ctypes.data,
            slopes=places[1].ctypes.data,
            statistics=places[2].ctypes.data,
            statistics_size=int(places[2][-1]),
        )
        return made, places


def _number(member: Member, name: str, default: float) -> float:
    return float(member.get(name, default))  # pyright: ignore[reportArgumentType]


def _settings(activation: Member, optimizer: Member) -> Settings:
    code, numbers = encode_activation(activation)
    learned = activation.get("kind") in LEARNED
    return Settings(
        activation=code,
        learned=learned,
        activation_parameters=numbers,
        exact_parameters=numbers,
        **encode_optimizer(optimizer),
    )


def _sums(
    rows: int,
    sums: NDArray[np.void],
    diverged: NDArray[np.int64] | None = None,
    used: NDArray[np.int64] | None = None,
) -> NativeSums:
    columns = {name: np.ascontiguousarray(sums[name]) for name in SUMS.names or ()}
    return NativeSums(rows=rows, diverged_row=diverged, used=used, **columns)
