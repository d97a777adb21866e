"""When and where a cohort's layers are measured: beside the training where that leaves the interpreter to others."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from services.training.diagnostics import Probe
from services.training.engine import LayerParameters, Reach, State
from services.training.observer import LayerReport

Layers = Future[tuple[LayerReport, ...]]


class Measuring:
    """Runs a probe, one measurement at a time.

    What is measured is a copy of the state: the training cannot change it meanwhile.

    Args:
        probe: measures.
        aside: in a thread of its own while the next epoch trains; else at once.
    """

    def __init__(self, probe: Probe, *, aside: bool) -> None:
        self.probe = probe
        self._thread = ThreadPoolExecutor(1, "probe", initializer=_one_thread) if aside else None
        self._last: Layers | None = None

    def begin(
        self,
        state: State,
        before: tuple[LayerParameters, ...] | None,
        healthy: NDArray[np.bool_],
        reach: Reach | None = None,
    ) -> Layers:
        """Measure as `Probe.measure` does, once the measurement before is done."""
        if self._thread is None:
            done: Layers = Future()
            done.set_result(self.probe.measure(state, before, healthy, reach))
            return done
        if self._last is not None:
            self._last.exception()  # copies of states must not pile up
        self._last = self._thread.submit(self.probe.measure, state, before, healthy, reach)
        return self._last


def _one_thread() -> None:
    """The cores belong to the kernel: a second thread here would only wait for them."""
    torch.set_num_threads(1)
