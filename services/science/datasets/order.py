"""Does the order of the rows in the file matter? A tail split is only fair when it does not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RANK_CORRELATION = 0.1
"""From here on the target counts as ordered in the file, if there are enough rows for it to be no chance."""
SHARES = 0.1
"""So much of the validation rows may have other classes than the training rows, beyond chance."""
MOST_NAMES = 5


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


def order_notes(y: NDArray[Any], training: int, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Warn when the last rows of the file validate although the target is ordered in the file.

    Args:
        y: targets ``[n]`` in the order of the file: float64, or int64 class numbers.
        training: so many rows train, those behind them validate.
        classes: names of the classes; without them their numbers are told.
    """
    notes: list[str] = []
    correlation = order_correlation(y.astype(np.float64))
    if abs(correlation) >= max(RANK_CORRELATION, 3.0 / np.sqrt(len(y))):
        notes.append(
            f"the target is ordered in the file (rank correlation of row and target {correlation:+.2f}): with "
            f"split=tail the validation rows are unlike the training rows; split=random avoids it"
        )
    if y.dtype != np.int64:
        return tuple(notes)
    count = int(y.max()) + 1
    trained, validated = (np.bincount(part, minlength=count) for part in (y[:training], y[training:]))
    if len(unseen := np.flatnonzero((trained == 0) & (validated > 0))):
        names = ", ".join(classes[place] if classes else str(place) for place in unseen[:MOST_NAMES])
        more = f" and {len(unseen) - MOST_NAMES} more" if len(unseen) > MOST_NAMES else ""
        notes.append(f"with split=tail the classes [{names}]{more} are validated but never trained on")
    # Half the sum of differences of shares; a random cut gives less than half the square root.
    unlike = 0.5 * float(np.abs(trained / max(1, trained.sum()) - validated / max(1, validated.sum())).sum())
    if not notes and unlike > SHARES + float(np.sqrt(count / max(1, validated.sum()))):
        notes.append(
            f"the classes are ordered in the file: with split=tail {100 * unlike:.0f} % of the validation rows would "
            f"have to be of other classes to be like the training rows; split=random avoids it"
        )
    return tuple(notes)
