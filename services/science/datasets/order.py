"""Does the order of the rows in the file matter? A tail split is only fair when it does not."""

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.base import BaseDataset, RawData

RANK_CORRELATION = 0.1
"""From here on the target counts as ordered in the file."""


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[where]


def order_correlation(y: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of row number and target; 0 for a constant target."""
    if len(y) < 2 or y.min() == y.max():
        return 0.0
    return float(np.corrcoef(np.arange(len(y)), ranks(y))[0, 1])


def order_notes(choice: BaseDataset, raw: RawData) -> tuple[str, ...]:
    """Warn when the last rows of the file validate although the target is ordered in the file."""
    if choice.split != "tail" or raw.x_test is not None:
        return ()
    correlation = order_correlation(raw.y.astype(np.float64))
    training = choice.split_rows()[0]
    notes: list[str] = []
    if abs(correlation) >= RANK_CORRELATION:
        notes.append(
            f"the target is ordered in the file (rank correlation of row and target {correlation:+.2f}): with "
            f"split=tail the validation rows are unlike the training rows; split=random avoids it"
        )
    if raw.y.dtype == np.int64:
        unseen = sorted(set(np.unique(raw.y[training:]).tolist()) - set(np.unique(raw.y[:training]).tolist()))
        if unseen:
            notes.append(f"with split=tail the classes {unseen} are validated but never trained on")
    return tuple(notes)
