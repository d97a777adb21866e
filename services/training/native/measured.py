"""What the kernel is asked about the layers of its networks, and the form of its answer."""

import ctypes
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.science.diagnostics import HISTOGRAM_EDGES, Quantity
from services.training.native.structures import Probe, Rows

EDGES = np.asarray(HISTOGRAM_EDGES, dtype=np.float32)


@dataclass(frozen=True)
class Ask:
    """What is measured, and on how many rows from the first on.

    Attributes:
        quantities: dead units are looked for on all validation rows.
        signal_rows: validation rows.
        gradient_rows: training rows.
    """

    quantities: AbstractSet[Quantity]
    signal_rows: int
    gradient_rows: int

    def structure(
        self, training: Rows, validation: Rows, flat_below: NDArray[np.float32], healthy: NDArray[np.uint8]
    ) -> Probe:
        """The same for the kernel; the two arrays must live as long."""
        return Probe(
            training=ctypes.pointer(training),
            validation=ctypes.pointer(validation),
            gradient_rows=self.gradient_rows,
            signal_rows=self.signal_rows,
            signals=bool(self.quantities & {"moments", "histogram", "saturation"}),
            dead="dead_units" in self.quantities,
            gradients="gradients" in self.quantities,
            edges_count=len(EDGES),
            edges=EDGES.ctypes.data,
            flat_below=flat_below.ctypes.data,
            healthy=healthy.ctypes.data,
        )
