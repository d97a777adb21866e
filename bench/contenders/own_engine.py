"""This project's engines without the service: options ``{"engine": "native" | "eager", "pinned"}``."""

import os

import numpy as np

from bench.contenders.numbers import rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload
from services.science.activations import Relu
from services.science.initializers import HeNormal
from services.science.models import Cnn, Mlp
from services.science.optimizers import Sgd
from services.training import device
from services.training.choose import build_engine
from services.training.engine import CohortDescription, Rows, TrialPlan
from services.training.initial import draw_layers


def main() -> None:
    """Serve one engine; a turn is whole epochs, evaluation left out."""
    workload, options = asked()
    cores = len(os.sched_getaffinity(0))
    device.configure("cpu", cores)

    def make(workload: Workload, steps: int) -> Turn:
        x, y = rows(workload, min(workload.rows, steps * workload.batch))
        data = Rows(x, y, x[:64], y[:64])
        plans = tuple(
            TrialPlan(Relu(), HeNormal(), Sgd(learning_rate=workload.learning_rate), seed)
            for seed in range(workload.trials)
        )
        description = CohortDescription(
            plans,
            Cnn(blocks=workload.blocks, dense=workload.widths[1:-1])
            if workload.image
            else Mlp(hidden=workload.widths[1:-1]),
            workload.loss,  # type: ignore[arg-type]
            workload.shape,
            workload.widths[-1],
            workload.batch,
            10**6,
        )
        initial = draw_layers(description, x)
        engine = build_engine(options["engine"], description, initial, data, device="cpu", threads=cores)  # type: ignore[arg-type]
        epoch = 0

        def turn() -> None:
            nonlocal epoch
            epoch += 1
            sums = engine.train_epoch(epoch, lambda _share: False)
            assert sums is not None
            assert np.isfinite(sums.loss).all()

        return turn

    serve(make, workload, trials=workload.trials, steps=1 if workload.image else None)


if __name__ == "__main__":
    main()
