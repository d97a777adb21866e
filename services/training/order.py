"""The order in which an epoch visits the training rows."""

import numpy as np
from numpy.typing import NDArray

from services.science.streams import Purpose, stream


def distinct_seeds(seeds: tuple[int, ...]) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Return the different seeds in order of appearance, and for each trial the place of its seed among them."""
    places: dict[int, int] = {}
    index = np.array([places.setdefault(seed, len(places)) for seed in seeds], dtype=np.int64)
    return tuple(places), index


def epoch_orders(seeds: tuple[int, ...], epoch: int, rows: int) -> NDArray[np.int64]:
    """Return the row orders ``[len(seeds), rows]`` of one epoch (1-based): a permutation per seed."""
    return np.stack([stream(seed, Purpose.ORDER, epoch).permutation(rows) for seed in seeds]).astype(np.int64)
