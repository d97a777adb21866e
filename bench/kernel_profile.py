"""CPU time of the native kernel per trial and step, for one thread: what limits it, apart from the machine's load."""

import argparse
import itertools
import time

import numpy as np

from services.science.streams import Purpose, stream
from services.training.native.between import NORMS, Between
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort


def cohort(
    widths: tuple[int, ...], trials: int, batch: int, activation: str, optimizer: str, between: Between
) -> NativeCohort:
    """A cohort with random weights and 8,192 random rows."""
    rule = {"kind": optimizer, "learning_rate": 1e-3}
    description = NativeDescription(
        widths, "mae", batch, [{"kind": activation}] * trials, [rule] * trials, between=between
    )
    rng = stream(0, Purpose.WEIGHTS)
    pairs = list(itertools.pairwise(widths))
    weights = [rng.normal(0, a**-0.5, (trials, a, b)).astype(np.float32) for a, b in pairs]
    made = NativeCohort(description, weights, [np.zeros((trials, b), np.float32) for _, b in pairs])
    x = rng.normal(size=(8192, widths[0])).astype(np.float32)
    made.set_training_rows(x, x[:, :1] + np.zeros((1, widths[-1]), np.float32))
    return made


def main() -> None:
    """Print one line per batch size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--widths", default="6,50,50,1")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--norm", choices=NORMS, default="none")
    parser.add_argument("--after", action="store_true", help="normalise after the activation")
    parser.add_argument("--residual", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="different dropout masks among the four trials")
    options = parser.parse_args()
    between = Between(norm=options.norm, after=options.after, dropout=options.dropout, residual=options.residual)
    seeds = np.arange(4, dtype=np.uint64) % np.uint64(options.seeds)
    widths = tuple(map(int, options.widths.split(",")))
    macs = sum(a * b for a, b in itertools.pairwise(widths))
    for batch in (32, 256):
        made = cohort(widths, 4, batch, options.activation, options.optimizer, between)
        order = stream(0, Purpose.ORDER, 1).permutation(8192).astype(np.int32)[None]
        best = float("inf")
        for _ in range(options.repeats):
            start = time.thread_time()
            made.run_epoch(order, np.zeros(4, np.int32), dropout=(seeds, 0))
            best = min(best, (time.thread_time() - start) / 4 / (8192 / batch))
        flops = 2 * batch * (3 * macs - widths[0] * widths[1])
        print(f"batch {batch}: {best * 1e6:.2f} us of one core, {flops / best / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
