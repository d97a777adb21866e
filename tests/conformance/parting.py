"""How often a trial parts from its recomputation in float64 under mean absolute error: the table of docs/numerics.md.

``python -m tests.conformance.parting --seeds 40`` needs diamonds.csv and takes minutes for each engine and optimizer.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np

from services.science.datasets.files import locate
from services.science.datasets.tabular import Diamonds
from services.training.choose import Choice
from tests.conformance.recompute import recompute
from tests.support.training import prepared, train

COLUMNS = ("carat", "depth", "table", "x", "y", "z")
RELATIVE = 1e-4
EPOCHS = 3
OPTIMIZERS: dict[str, dict[str, Any]] = {"sgd": {}, "adam": {"optimizer": "adam", "lr": 0.001}}
"""What `recompute` takes for each."""


def diamonds(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features ``[n, 6]`` and prices ``[n]``, as the file has them."""
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    return (
        np.array([[float(row[name]) for name in COLUMNS] for row in table]),
        np.array([float(row["price"]) for row in table]),
    )


def recomputed(job: tuple[Path, str, str, int, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one trial in float64."""
    path, activation, initializer, seed, how = job
    x, y = diamonds(path)
    return recompute(x, y, activation=activation, initializer=initializer, seed=seed, epochs=EPOCHS, **how)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, recompute and print one line for each engine and optimizer."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.parting", description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="of each of two activations and two initializers")
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), action="append")
    parser.add_argument("--engine", choices=[name for name in get_args(Choice) if name != "auto"], action="append")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor() as pool:
        path = locate(Diamonds.files[0], Path(folder))
        assert path, "diamonds.csv comes with a package that `make setup` installs"
        for optimizer in options.optimizer or OPTIMIZERS:
            document = {
                "dataset": "diamonds",
                "activation": ["tanh", "sigmoid"],
                "initializer": ["glorot_uniform", "he_normal"],
                "optimizer": {"kind": "adam", "learning_rate": 0.001} if optimizer == "adam" else "sgd",
                "epochs": EPOCHS,
                "seeds": options.seeds,
            }
            description, rows = prepared(document, Path(folder))
            jobs = [
                (path, trial.activation.kind, trial.initializer.kind, trial.seed, OPTIMIZERS[optimizer])
                for trial in description.trials
            ]
            references = list(pool.map(recomputed, jobs))
            for engine in options.engine or ("eager", "native"):
                reports = train(description, rows, engine=engine).reports
                apart = [_apart(reports, slot, reference) for slot, reference in enumerate(references)]
                parted = sum(value > RELATIVE for value in apart)
                sys.stdout.write(f"{optimizer}, {engine}: {parted} of {len(apart)} part, worst {max(apart):.1e}\n")
                sys.stdout.flush()
    return 0


def _apart(reports: Sequence[Any], slot: int, reference: Sequence[dict[str, Any]]) -> float:
    """The largest relative difference of a trial's losses."""
    return max(
        abs(report.metrics[name][slot] / row[name] - 1.0)
        for row, report in zip(reference, reports, strict=True)
        for name in ("train_loss", "val_loss")
        if row[name] is not None
    )


if __name__ == "__main__":
    sys.exit(main())
