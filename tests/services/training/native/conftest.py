"""An independent network in float64 NumPy, and cohorts to compare with it."""

import ctypes
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.science.streams import Purpose, stream
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort


@dataclass
class ReferenceOptimizer:
    """PyTorch's update rules on one array, in float64."""

    options: dict[str, Any]
    step: int = 0
    memory: dict[str, np.ndarray] = field(default_factory=dict)

    def update(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        o, self.step = self.options, self.step + 1
        kind, rate, decay = o["kind"], o["learning_rate"], o.get("weight_decay", 0.0)
        m = self.memory
        if kind == "adamw":
            w = w - rate * o.get("weight_decay", 0.01) * w
        else:
            g = g + decay * w
        if kind == "sgd":
            momentum = o.get("momentum", 0.0)
            m["v"] = momentum * m.get("v", 0.0) + g
            return w - rate * (g + momentum * m["v"] if o.get("nesterov") else m["v"])
        if kind in ("adam", "adamw"):
            b1, b2 = o.get("beta_1", 0.9), o.get("beta_2", 0.999)
            m["m"] = b1 * m.get("m", 0.0) + (1 - b1) * g
            m["v"] = b2 * m.get("v", 0.0) + (1 - b2) * g * g
            unbiased = np.sqrt(m["v"] / (1 - b2**self.step))
            return w - rate * (m["m"] / (1 - b1**self.step)) / (unbiased + o.get("epsilon", 1e-8))
        if kind == "rmsprop":
            alpha = o.get("decay", 0.99)
            m["v"] = alpha * m.get("v", 0.0) + (1 - alpha) * g * g
            m["b"] = o.get("momentum", 0.0) * m.get("b", 0.0) + g / (np.sqrt(m["v"]) + o.get("epsilon", 1e-8))
            return w - rate * m["b"]
        m["s"] = m.get("s", o.get("initial_accumulator", 0.0)) + g * g
        slowed = rate / (1 + (self.step - 1) * o.get("learning_rate_decay", 0.0))
        return w - slowed * g / (np.sqrt(m["s"]) + o.get("epsilon", 1e-10))


class ReferenceNetwork:
    """Dense layers with one activation, trained batch by batch; every number is float64."""

    def __init__(self, weights, biases, activation: dict, optimizer: dict, loss: str, huber_delta: float = 1.0):
        self.weights = [w.astype(np.float64) for w in weights]
        self.biases = [b.astype(np.float64) for b in biases]
        self.f = ACTIVATIONS[activation["kind"]].model_validate(activation)
        self.rules = [ReferenceOptimizer(optimizer) for _ in range(2 * len(weights))]
        self.clip, self.loss, self.delta = optimizer.get("clip_norm"), loss, huber_delta

    def forward(self, x):
        self.h, self.z = [x], []
        for w, b in zip(self.weights, self.biases, strict=True):
            if self.z:
                self.h.append(self.f.value(self.z[-1]))
            self.z.append(self.h[-1] @ w + b)
        return self.z[-1]

    def row_losses(self, z, y):
        """The loss of each row and its gradient by z."""
        if self.loss == "cross_entropy":
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            target = np.eye(z.shape[1])[y]
            return -np.log(p[np.arange(len(y)), y]), p - target
        if self.loss == "binary_cross_entropy":
            p = 1 / (1 + np.exp(-z))
            return -np.log(np.where(y == 1, p[:, 0], 1 - p[:, 0])), p - y[:, None]
        d, k = z - y, z.shape[1]
        if self.loss == "mae":
            return np.abs(d).mean(axis=1), np.sign(d) / k
        if self.loss == "mse":
            return np.square(d).mean(axis=1), 2 * d / k
        small = np.abs(d) <= self.delta
        rows = np.where(small, d * d / 2, self.delta * (np.abs(d) - self.delta / 2))
        return rows.mean(axis=1), np.clip(d, -self.delta, self.delta) / k

    def train(self, x, y, order, batch):
        total = 0.0
        for first in range(0, len(order), batch):
            index = order[first : first + batch]
            losses, delta = self.row_losses(self.forward(x[index].astype(np.float64)), y[index])
            total += losses.sum()
            delta = delta / len(index)
            gradients = []
            for layer in reversed(range(len(self.weights))):
                gradients[:0] = [self.h[layer].T @ delta, delta.sum(axis=0)]
                if layer:
                    delta = (delta @ self.weights[layer].T) * self.f.derivative(self.z[layer - 1])
            if self.clip:
                norm = np.sqrt(sum(np.sum(g * g) for g in gradients))
                gradients = [g * min(1.0, self.clip / (norm + 1e-6)) for g in gradients]
            for layer in range(len(self.weights)):
                w, b = self.rules[2 * layer : 2 * layer + 2]
                self.weights[layer] = w.update(self.weights[layer], gradients[2 * layer])
                self.biases[layer] = b.update(self.biases[layer], gradients[2 * layer + 1])
        return total


@dataclass
class Study:
    """A cohort's data, initial numbers and description, from which kernel and reference are made."""

    description: NativeDescription
    rows: int = 150
    seed: int = 0

    def __post_init__(self):
        d = self.description
        rng = stream(self.seed, Purpose.SYNTHETIC)
        trials = len(d.activations)
        self.weights = [rng.normal(0, a**-0.5, (trials, a, b)).astype(np.float32) for a, b in pairwise(d.widths)]
        self.biases = [rng.normal(0, 0.1, (trials, b)).astype(np.float32) for b in d.widths[1:]]
        self.x = rng.normal(size=(self.rows, d.widths[0])).astype(np.float32)
        if d.loss == "cross_entropy":
            self.y = rng.integers(0, d.widths[-1], self.rows)
        elif d.loss == "binary_cross_entropy":
            self.y = rng.integers(0, 2, self.rows)
        else:
            self.y = rng.normal(size=(self.rows, d.widths[-1])).astype(np.float32)
        self.orders = np.stack([rng.permutation(self.rows) for _ in range(trials)]).astype(np.int32)

    def cohort(self, threads: int = 1, library: ctypes.CDLL | None = None) -> NativeCohort:
        made = NativeCohort(self.description, self.weights, self.biases, threads, library)
        made.set_training_rows(self.x, self.y)
        made.set_validation_rows(self.x[: self.rows // 2 + 1], self.y[: self.rows // 2 + 1])
        return made

    def reference(self, trial: int) -> ReferenceNetwork:
        d = self.description
        return ReferenceNetwork(
            [w[trial] for w in self.weights],
            [b[trial] for b in self.biases],
            dict(d.activations[trial]),
            dict(d.optimizers[trial]),
            d.loss,
            d.huber_delta,
        )

    def assert_agrees(self, epochs: int = 2, relative: float = 1e-4, library: ctypes.CDLL | None = None) -> None:
        """Train kernel and reference alike and compare losses and parameters after every epoch."""
        cohort = self.cohort(library=library)
        references = [self.reference(t) for t in range(len(self.description.activations))]
        for _ in range(epochs):
            sums = cohort.run_epoch(self.orders)
            assert sums is not None
            pairs = zip(references, self.orders, strict=True)
            losses = [r.train(self.x, self.y, order, self.description.batch_size) for r, order in pairs]
            np.testing.assert_allclose(sums.loss, losses, rtol=relative)
            weights, biases = cohort.get_parameters()
            for trial, reference in enumerate(references):
                for ours, theirs in zip([*weights, *biases], [*reference.weights, *reference.biases], strict=True):
                    scale = np.abs(theirs).max()
                    np.testing.assert_allclose(ours[trial], theirs, rtol=0, atol=relative * scale)


@pytest.fixture
def study():
    """Makes a `Study`: ``study(widths, loss=..., batch_size=..., activations=..., optimizers=...)``."""

    def make(widths, loss="mse", batch_size=32, activations=None, optimizers=None, rows=150, seed=0, **rest) -> Study:
        activations = activations or [{"kind": "tanh"}]
        optimizers = optimizers or [{"kind": "sgd", "learning_rate": 0.05}] * len(activations)
        return Study(NativeDescription(widths, loss, batch_size, activations, optimizers, **rest), rows, seed)

    return make
