"""Which epochs of a long curve are drawn, and the mean and band over seeds at each of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from services.science.results import ArmResults, Floats

MOST_RECORDS = 12_000
"""Records of one picture; beyond it a curve is drawn at fewer epochs."""


@dataclass(frozen=True)
class Band:
    """Mean over seeds and its t interval at each epoch; NaN where there is none. All arrays share one length."""

    epochs: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def drawn_epochs(first: int, last: int, lines: int) -> NDArray[np.int64]:
    """Epochs from `first` to `last`, thinned evenly so that `lines` curves stay below `MOST_RECORDS`; ends are kept."""
    most = max(24, min(400, MOST_RECORDS // max(lines, 1)))
    count = last - first + 1
    if count <= most:
        return np.arange(first, last + 1)
    return np.unique(np.linspace(first, last, most).round().astype(np.int64))


def band(arm: ArmResults, metric: str, epochs: NDArray[np.int64], confidence: float) -> Band:
    """Mean and t interval over the arm's trials at each epoch; diverged trials are left out of all epochs.

    Leaving a diverged trial out from the start keeps the mean about the same trials from one epoch to the next.
    """
    values = arm.curve(metric)[arm.kept]
    values = values[:, epochs[epochs < values.shape[1]]]
    values = np.where(np.isfinite(values), values, np.nan)
    n = np.sum(np.isfinite(values), axis=0)
    total = np.nansum(values, axis=0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.nansum((values - mean) ** 2, axis=0)
    sd = np.sqrt(np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1))
    quantile = special.stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2)
    margin = np.divide(quantile * sd, np.sqrt(n), out=np.full(n.shape, np.nan), where=n > 1)
    return Band(epochs[: n.size], mean, mean - margin, mean + margin, n)
