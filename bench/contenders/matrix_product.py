"""The most arithmetic this machine does: float32 products of large matrices, on all cores. A step is one product."""

import torch

from bench.turns import Turn, asked, serve
from bench.workload import Workload

SIZE = 1024
STEPS = 60
"""About half a second on two cores of 2023; a workload's own number of steps may be much too small."""


def main() -> None:
    """Serve products."""
    workload, _ = asked()

    def make(_workload: Workload, steps: int) -> Turn:
        a, b = (torch.randn(SIZE, SIZE) for _ in range(2))

        def turn() -> None:
            for _ in range(steps):
                a @ b

        return turn

    serve(make, workload, trials=1, steps=STEPS)


if __name__ == "__main__":
    main()
