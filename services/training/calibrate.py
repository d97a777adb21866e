"""What this machine does in a second, by training tiny cohorts: ``python -m services.training.calibrate --threads 2``.

Prints one line of JSON, the measured numbers of `services.quotes.machine.Machine`; those of the compiled kernel
are null where it does not train. Nothing is read, kept or sent.
"""

import argparse
import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.science.activations.rectifiers import Relu
from services.science.initializers.fan_scaled import HeUniform
from services.science.models import AnyModel, Cnn, DeepMlp, Mlp
from services.science.models.layers import Stage
from services.science.models.work import kept, training_operations
from services.science.optimizers.sgd import Sgd
from services.science.streams import Purpose, stream
from services.training.choose import Choice, build_engine
from services.training.device import configure
from services.training.engine import CohortDescription, Engine, Rows, TrialPlan
from services.training.initial import draw_layers
from services.training.layer_statistics import effective_ranks
from services.training.native.build import KernelUnavailableError
from services.training.native.structures import kernel
from services.training.parent import die_with_parent

log = logging.getLogger(__name__)

ROUNDS = 5
CLASSES = 10
BATCH = 32
RANK_ROWS = 200
SMALLEST_SHARE = 0.1
"""What is left of a time beyond its known part is this share of it at least, for both have scatter."""

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class Study:
    """A cohort to be timed: so many trials of a model on `steps` batches of rows that are drawn for it."""

    model: AnyModel
    input_shape: tuple[int, ...]
    steps: int
    trials: int
    engine: Choice = "eager"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The network's layers."""
        return self.model.stages(self.input_shape, CLASSES, 1)

    @property
    def operations(self) -> int:
        """Of one step of all trials."""
        return self.trials * BATCH * training_operations(self.stages)

    @property
    def numbers(self) -> int:
        """Kept for the way back in one step of all trials."""
        return self.trials * BATCH * kept(self.stages)

    @property
    def layers(self) -> int:
        """Layers of all trials."""
        return self.trials * len(self.stages)

    def build(self, device: str, threads: int) -> Engine:
        """The engine that trains it."""
        description = CohortDescription(
            tuple(TrialPlan(Relu(), HeUniform(), Sgd(), seed) for seed in range(self.trials)),
            self.model,
            "cross_entropy",
            self.input_shape,
            CLASSES,
            BATCH,
            1 + ROUNDS,
        )
        rng = stream(0, Purpose.SYNTHETIC)
        x = rng.standard_normal((BATCH * self.steps, *self.input_shape), dtype=np.float32)
        y = rng.integers(0, CLASSES, len(x))
        rows = Rows(x, y, x[:BATCH], y[:BATCH])
        initial = draw_layers(description, x)
        return build_engine(self.engine, description, initial, rows, device=device, threads=threads)


def measure(device: str, threads: int, engine: Choice) -> Numbers:
    """The numbers of `services.quotes.machine.Machine` that are measured."""
    import_seconds = time.process_time()
    where = configure(device, threads)
    lanes = threads if where == "cpu" else 1
    tiny = {
        "flat": Study(Mlp(hidden=(4,)), (4,), 32, 1),
        "deep": Study(DeepMlp(depth=9, width=4), (4,), 16, 1),
        "many": Study(Mlp(hidden=(4,)), (4,), 32, 9),
    }
    large = {
        "wide": Study(Mlp(hidden=(256, 256)), (64,), 8, 8),
        "long": Study(DeepMlp(depth=9, width=50), (50,), 8, 8),
    }
    # A network of hardly more than its calls, one of many numbers, one of many operations for each number.
    images = {
        "calls": Study(Cnn(blocks=((4,),), dense=(4,)), (1, 8, 8), 4, lanes),
        "numbers": Study(Cnn(blocks=((8,),), dense=(16,)), (3, 32, 32), 2, lanes),
        "products": Study(Cnn(blocks=((96,),), dense=(16,)), (64, 8, 8), 1, lanes),
    }
    compiled: dict[str, Study] = {}
    if where == "cpu" and engine != "eager" and _compiled():
        compiled = {
            "small": Study(Mlp(hidden=(4,)), (4,), 512, 4 * threads, "native"),
            "large": Study(Mlp(hidden=(100, 100)), (64,), 64, 2 * threads, "native"),
        }
    seconds = time_all({**tiny, **large, **images, **compiled}, where, threads)
    return {
        "import_seconds": import_seconds,
        "threads": float(threads),
        **_kernel(compiled, seconds),
        **_dense(tiny, large, seconds),
        **_images(images, seconds),
        "rank_seconds": rank_seconds(),
    }


def time_all(studies: Mapping[str, Study], device: str, threads: int) -> dict[str, float]:
    """Seconds of one step of each study's whole cohort: the least of some epochs after one that warms up.

    The studies take turns, so that a moment in which something else runs costs each of them one epoch, not one of them
    all of its epochs.
    """
    engines = {name: study.build(device, threads) for name, study in studies.items()}
    least = dict.fromkeys(studies, np.inf)
    for epoch in range(1, 2 + ROUNDS):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine.train_epoch(epoch, lambda _share: False)
            passed = (time.perf_counter() - began) / studies[name].steps
            if epoch > 1:
                least[name] = min(least[name], passed)
    return least


def rank_seconds() -> float:
    """Seconds of one effective rank by each of the rows, cubed, of a wide layer's weights."""
    weights = stream(0, Purpose.SYNTHETIC).standard_normal((1, RANK_ROWS, RANK_ROWS))
    least = np.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        effective_ranks(weights)
        least = min(least, time.perf_counter() - began)
    return float(least / RANK_ROWS**3)


def shares(parts: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Seconds for one of each sort of work, none negative, that come closest to `seconds`, each by its own measure.

    Args:
        parts: ``[studies, sorts]``, how much of each sort of work is in each study; the first sort is never left out.
        seconds: of each study.
    """
    relative = np.array(parts, dtype=np.float64) / np.array(seconds)[:, None]
    scale = relative.max(axis=0)
    relative /= scale
    best, least = np.zeros(len(scale)), np.inf
    others = range(1, len(scale))
    # Sorts are few: every choice of those that are more than zero is tried.
    for chosen in itertools.chain.from_iterable(itertools.combinations(others, size) for size in range(len(scale))):
        columns = [0, *chosen]
        shares = np.linalg.lstsq(relative[:, columns], np.ones(len(seconds)))[0]
        off = float(np.square(relative[:, columns] @ shares - 1).sum())
        if (shares > 0).all() and off < least:
            best, least = np.zeros(len(scale)), off
            best[columns] = shares
    return [float(share) for share in best / scale]


def _kernel(studies: Mapping[str, Study], seconds: Mapping[str, float]) -> Numbers:
    if not studies:
        return {"kernel_flops": None, "kernel_trial_step_seconds": None}
    parts = [[study.operations, study.trials] for study in studies.values()]
    per_operation, per_trial = shares(parts, [seconds[name] for name in studies])
    return {"kernel_flops": 1 / per_operation, "kernel_trial_step_seconds": per_trial}


def _dense(tiny: Mapping[str, Study], large: Mapping[str, Study], seconds: Mapping[str, float]) -> Numbers:
    """Calls from tiny networks, one, a deep one and many of them; the rest from wide ones and from long ones."""
    flat, deep, many = (tiny[name] for name in ("flat", "deep", "many"))
    layer = max(0.0, seconds["deep"] - seconds["flat"]) / (deep.layers - flat.layers)
    trial = max(0.0, seconds["many"] - seconds["flat"]) / (many.trials - flat.trials)
    step = max(0.0, seconds["flat"] - layer * flat.layers - trial)
    beyond: list[float] = []
    for name, study in large.items():
        calls = step + layer * len(study.stages) + trial * study.trials
        beyond.append(max(seconds[name] - calls, SMALLEST_SHARE * seconds[name]))
    per_operation, per_number = shares([[study.operations, study.numbers] for study in large.values()], beyond)
    return {
        "flops": 1 / per_operation,
        "number_seconds": per_number,
        "step_seconds": step,
        "layer_seconds": layer,
        "trial_step_seconds": trial,
    }


def _images(studies: Mapping[str, Study], seconds: Mapping[str, float]) -> Numbers:
    parts = [[study.operations, study.numbers, study.layers] for study in studies.values()]
    per_operation, per_number, per_layer = shares(parts, [seconds[name] for name in studies])
    return {
        "convolution_flops": 1 / per_operation,
        "convolution_number_seconds": per_number,
        "convolution_layer_seconds": per_layer,
    }


def _compiled() -> bool:
    """Whether the kernel can be had on this machine."""
    try:
        kernel()
    except KernelUnavailableError as error:
        log.info("no compiled kernel here: %s", error)
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m services.training.calibrate", description=__doc__)
    parser.add_argument("--threads", type=int, required=True, help="processor threads of one slot")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where trials train")
    parser.add_argument("--engine", choices=("auto", "native", "eager"), default="auto", help="which engine is used")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    die_with_parent()
    sys.stdout.write(json.dumps(measure(options.device, options.threads, options.engine), allow_nan=False) + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # an orderly end would take PyTorch's threads apart for nothing


if __name__ == "__main__":
    main()
