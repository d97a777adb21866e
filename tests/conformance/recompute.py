"""A trial recomputed in float64 with NumPy from the numerics contract alone; it imports nothing of the project.

`recompute` gives one row per epoch.
"""

import itertools
from typing import Any

import numpy as np
from scipy.special import expit, ndtr, ndtri


def activate(kind: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(z) and f'(z)."""
    if kind == "tanh":
        return np.tanh(z), 1 - np.tanh(z) ** 2
    if kind == "sigmoid":
        return expit(z), expit(z) * (1 - expit(z))
    slope = np.where(z > 0, 1.0, 0.0 if kind == "relu" else 0.01)
    return slope * z, slope


def stream(seed: int, purpose: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, purpose * 2**32 + index], dtype=np.uint64)))


def draw(initializer: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    if initializer == "random_uniform":
        return rng.uniform(-0.05, 0.05, shape)
    family, form = initializer.split("_")
    variance = {"he": 2 / shape[0], "glorot": 2 / sum(shape), "lecun": 1 / shape[0]}[family]
    if form == "uniform":
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)
    return ndtri(rng.uniform(ndtr(-2), ndtr(2), shape)) * np.sqrt(variance) / 0.87962566103423978


def prepared(x: np.ndarray, y: np.ndarray, classes: int, train_size: int | None) -> list[np.ndarray]:
    order = stream(0, 0, 0).permutation(len(x))
    keep, rest = np.split(order, [len(x) - round(len(x) * 0.2)])
    keep = keep[:train_size]

    def scaled(v: np.ndarray) -> np.ndarray:
        std = v[keep].std(axis=0)
        return ((v - v[keep].mean(axis=0)) / np.where(std == 0, 1, std)).astype(np.float32).astype(np.float64)

    x, y = scaled(x), y if classes else scaled(y)[:, None]
    return [x[keep], y[keep], x[rest], y[rest]]


def loss_and_slope(loss: str, z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if loss == "mae":
        return np.abs(z - y).mean(axis=1), np.sign(z - y)
    if loss == "mse":
        return ((z - y) ** 2).mean(axis=1), 2 * (z - y)
    if loss == "binary_cross_entropy":
        return np.logaddexp(0, z[:, 0]) - y * z[:, 0], expit(z) - y[:, None]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]), p - np.eye(z.shape[1])[y]


class Norms:
    """Batch norm of every hidden layer; without settings it does nothing."""

    def __init__(self, widths: tuple[int, ...], settings: dict[str, Any] | None) -> None:
        self.settings = settings
        self.after = settings is not None and settings["position"] == "after"
        self.gamma, self.beta, self.mean, self.var = ([np.full(n, c) for n in widths] for c in (1.0, 0.0, 0.0, 1.0))

    def forward(self, z: np.ndarray, i: int, training: bool) -> tuple[np.ndarray, Any]:
        """gamma (z - mean) / sqrt(variance + epsilon) + beta, and what the way back needs."""
        if self.settings is None:
            return z, None
        m, v = (z.mean(axis=0), z.var(axis=0)) if training else (self.mean[i], self.var[i])
        if training:
            decay = self.settings["decay"]
            self.mean[i] = decay * self.mean[i] + (1 - decay) * m
            self.var[i] = decay * self.var[i] + (1 - decay) * v
        root = np.sqrt(v + self.settings["epsilon"])
        plain = (z - m) / root
        return self.gamma[i] * plain + self.beta[i], (plain, root)

    def backward(self, delta: np.ndarray, i: int, cache: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        """The gradient before the normalisation, and those of gamma and beta."""
        if cache is None:
            return delta, []
        plain, root = cache
        inner = delta * self.gamma[i]
        back = (inner - inner.mean(axis=0) - plain * (inner * plain).mean(axis=0)) / root
        return back, [(delta * plain).sum(axis=0), delta.sum(axis=0)]


class Adam:
    """Adam in PyTorch's form, or plain gradient descent."""

    def __init__(self, lr: float, adam: bool) -> None:
        self.lr, self.adam, self.steps = lr, adam, 0
        self.first: dict[Any, Any] = {}
        self.second: dict[Any, Any] = {}

    def move(self, key: Any, parameter: np.ndarray, g: np.ndarray) -> None:
        step = g
        if self.adam:
            self.first[key] = 0.9 * self.first.get(key, 0.0) + 0.1 * g
            self.second[key] = 0.999 * self.second.get(key, 0.0) + 0.001 * g**2
            root = np.sqrt(self.second[key]) / np.sqrt(1 - 0.999**self.steps) + 1e-8
            step = self.first[key] / (1 - 0.9**self.steps) / root
        parameter -= self.lr * step


def recompute(
    x: np.ndarray,
    y: np.ndarray,
    *,
    activation: str,
    initializer: str,
    seed: int,
    epochs: int,
    loss: str = "mae",
    optimizer: str = "sgd",
    lr: float = 0.01,
    batch: int = 32,
    train_size: int | None = None,
    hidden: tuple[int, ...] = (50, 50),
    batch_norm: dict[str, Any] | None = None,
    dropout: float = 0.0,
) -> list[dict[str, Any]]:
    classes = int(y.max()) + 1 if loss in ("cross_entropy", "binary_cross_entropy") else 0
    x, y, x_val, y_val = prepared(x, y, classes, train_size)
    shapes = list(itertools.pairwise([x.shape[1], *hidden, classes if loss == "cross_entropy" else 1]))
    last = len(hidden)
    w = [draw(initializer, s, stream(seed, 1, i)).astype(np.float32).astype(np.float64) for i, s in enumerate(shapes)]
    b = [np.zeros(s[1]) for s in shapes]
    norms, descent = Norms(hidden, batch_norm), Adam(lr, optimizer == "adam")
    rows: list[dict[str, Any]] = []

    def forward(h: np.ndarray, rng: np.random.Generator | None) -> tuple[list[Any], list[np.ndarray]]:
        """For each hidden layer what the way back needs; what goes into each layer, and the output."""
        caches, post, training = [], [h], rng is not None
        for i in range(last):
            z, one = (
                (post[-1] @ w[i] + b[i], None) if norms.after else norms.forward(post[-1] @ w[i] + b[i], i, training)
            )
            a, slope = activate(activation, z)
            a, two = norms.forward(a, i, training) if norms.after else (a, None)
            mask = 1.0
            if dropout and rng is not None:
                mask = (rng.random(a.shape, dtype=np.float32) >= np.float32(dropout)) / (1 - dropout)
            caches.append((one, slope, two, mask))
            post.append(a * mask)
        return caches, [*post, post[-1] @ w[last] + b[last]]

    for epoch in range(epochs + 1):
        total = 0.0
        order = stream(seed, 3, epoch).permutation(len(x)) if epoch else np.zeros(0, dtype=int)
        rng = stream(seed, 4, epoch)
        for start in range(0, len(order), batch):
            index = order[start : start + batch]
            caches, post = forward(x[index], rng)
            row_loss, delta = loss_and_slope(loss, post[-1], y[index])
            total += row_loss.sum()
            delta = delta / len(index)
            moves: list[tuple[Any, np.ndarray, np.ndarray]] = []
            for i in range(last, -1, -1):
                scales: list[np.ndarray] = []
                if i < last:
                    one, slope, two, mask = caches[i]
                    delta, outer = norms.backward(delta * mask, i, two)
                    delta, inner = norms.backward(delta * slope, i, one)
                    scales = outer or inner
                gradients = [post[i].T @ delta, delta.sum(axis=0), *scales]
                delta = delta @ w[i].T
                own = [w[i], b[i], *([norms.gamma[i], norms.beta[i]] if scales else [])]
                moves += [((i, k), p, g) for k, (p, g) in enumerate(zip(own, gradients, strict=True))]
            descent.steps += 1
            for key, parameter, gradient in moves:
                descent.move(key, parameter, gradient)
        val_loss = loss_and_slope(loss, forward(x_val, None)[1][-1], y_val)[0].mean()
        train_loss = total / len(x) if epoch else None
        rows.append({"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss})
    return rows
