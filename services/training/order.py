"""The order in which an epoch visits the training rows."""

from concurrent.futures import Future, ThreadPoolExecutor

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


class OrdersAhead:
    """The row orders of one epoch after another, each drawn in a thread while the epoch before it trains.

    An epoch's orders depend on its number alone, so that asking out of turn costs time and changes nothing.
    """

    def __init__(self, seeds: tuple[int, ...], rows: int, epochs: int) -> None:
        self._seeds, self._rows, self._epochs = seeds, rows, epochs
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orders")
        self._ahead: tuple[int, Future[NDArray[np.int32]]] | None = None
        self._present: tuple[int, NDArray[np.int32]] | None = None

    def take(self, epoch: int) -> NDArray[np.int32]:
        """Return what `epoch_orders` gives for this epoch as int32, and begin with the next.

        Asked again for the same epoch, which was set down, it draws nothing.
        """
        if self._present is not None and self._present[0] == epoch:
            return self._present[1]
        self._present = None
        drawn = self._ahead[1].result() if self._ahead is not None and self._ahead[0] == epoch else self._draw(epoch)
        self._ahead, self._present = None, (epoch, drawn)
        if epoch < self._epochs:
            self._ahead = (epoch + 1, self._thread.submit(self._draw, epoch + 1))
        return drawn

    def _draw(self, epoch: int) -> NDArray[np.int32]:
        return epoch_orders(self._seeds, epoch, self._rows).astype(np.int32)
