"""A trial recomputed in float64 with NumPy from the numerics contract alone; it imports nothing of the project.

`recompute` gives one row per epoch. Besides the losses a row says how close to zero the residual of a training row has
come so far: there the gradient of the mean absolute error jumps, and two ways of rounding may part for good.
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
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]), p - np.eye(z.shape[1])[y]


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
) -> list[dict[str, Any]]:
    classes = int(y.max()) + 1 if loss == "cross_entropy" else 0
    x, y, x_val, y_val = prepared(x, y, classes, train_size)
    shapes = list(itertools.pairwise([x.shape[1], 50, 50, classes or 1]))
    w = [draw(initializer, s, stream(seed, 1, i)).astype(np.float32).astype(np.float64) for i, s in enumerate(shapes)]
    b = [np.zeros(s[1]) for s in shapes]
    first: list[Any] = [0.0] * 6
    second: list[Any] = [0.0] * 6
    steps, closest, rows = 0, np.inf, []

    def forward(h: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        slopes, post = [], [h]
        for i in range(3):
            z = post[-1] @ w[i] + b[i]
            a, slope = activate(activation, z) if i < 2 else (z, z)
            post.append(a)
            slopes.append(slope)
        return slopes, post

    for epoch in range(epochs + 1):
        total = 0.0
        order = stream(seed, 3, epoch).permutation(len(x)) if epoch else np.zeros(0, dtype=int)
        for start in range(0, len(order), batch):
            index = order[start : start + batch]
            slopes, post = forward(x[index])
            row_loss, delta = loss_and_slope(loss, post[-1], y[index])
            total += row_loss.sum()
            closest = min(closest, row_loss.min())
            delta = delta / len(index)
            gradients: list[np.ndarray] = []
            for i in (2, 1, 0):
                gradients += [post[i].T @ delta, delta.sum(axis=0)]
                delta = (delta @ w[i].T) * slopes[i - 1] if i else delta
            steps += 1
            for k, (p, g) in enumerate(zip([w[2], b[2], w[1], b[1], w[0], b[0]], gradients, strict=True)):
                step = g
                if optimizer == "adam":
                    first[k] = 0.9 * first[k] + 0.1 * g
                    second[k] = 0.999 * second[k] + 0.001 * g**2
                    root = np.sqrt(second[k]) / np.sqrt(1 - 0.999**steps) + 1e-8
                    step = first[k] / (1 - 0.9**steps) / root
                p -= lr * step  # noqa: PLW2901 - in place
        val_loss = loss_and_slope(loss, forward(x_val)[1][-1], y_val)[0].mean()
        train_loss = total / len(x) if epoch else None
        rows.append({"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, "closest": closest})
    return rows
