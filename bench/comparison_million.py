"""How long a comparison over a million epoch rows takes: 1,000 trials of 1,000 epochs, packed into curves.

    python bench/comparison_million.py --database sqlite:////tmp/bench.db --repeats 50

The database is filled on the first run with made-up curves and kept. Times are of the whole question: reading, the
statistics, and plain JSON values; the HTTP layer is not in it.
"""

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from pydantic import SecretStr
from sqlalchemy import insert
from sqlalchemy.orm import Session

from services.comparisons.comparison import Question, comparison
from services.db.database import Database
from services.db.tables import CohortRow, CurveRow, ExperimentRow, TrialRow
from services.science.streams import Purpose, stream
from services.settings import Settings

EXPERIMENT = "exp_" + "0" * 32
EPOCHS = 1_000
ACTIVATIONS, INITIALIZERS, SEEDS = 10, 5, 20
METRICS = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "seconds")


def fill(session: Session) -> None:
    """One final experiment of ACTIVATIONS x INITIALIZERS arms with SEEDS seeds each."""
    size = ACTIVATIONS * INITIALIZERS * SEEDS
    session.add(
        ExperimentRow(
            id=EXPERIMENT,
            state="succeeded",
            spec={"dataset": {"name": "digits"}},
            spec_version=1,
            spec_digest="0" * 64,
            dataset="digits",
            dataset_digest="0" * 64,
            epochs=EPOCHS,
            trial_count=size,
            axes=["activation", "initializer"],
        )
    )
    session.flush()
    cohort = CohortRow(
        id="coh_" + "0" * 32, experiment_id=EXPERIMENT, position=0, size=size, epochs=EPOCHS, state="succeeded"
    )
    session.add(cohort)
    session.flush()
    rng = stream(0, Purpose.SYNTHETIC)
    trials, curves = [], []
    for place in range(size):
        arm, seed = divmod(place, SEEDS)
        activation, initializer = divmod(arm, INITIALIZERS)
        trial_id = f"trl_{place:032x}"
        trials.append(
            {
                "id": trial_id,
                "experiment_id": EXPERIMENT,
                "cohort_id": cohort.id,
                "slot": place,
                "position": place,
                "arm": {
                    "activation": {"kind": f"activation_{activation}"},
                    "initializer": {"kind": f"initializer_{initializer}"},
                    "optimizer": {"kind": "sgd", "learning_rate": 0.01},
                    "batch_size": 32,
                },
                "arm_key": f"{arm:016d}",
                "label": f"activation_{activation} · initializer_{initializer}",
                "seed": seed,
                "state": "succeeded",
                "epochs_done": EPOCHS,
            }
        )
        level = 0.3 + 0.01 * arm + 0.05 * rng.normal()
        curve = level + np.exp(-np.arange(EPOCHS + 1) / 200) + 0.02 * rng.normal(size=EPOCHS + 1)
        curves += [{"trial_id": trial_id, "metric": name, "values": curve.astype("<f8").tobytes()} for name in METRICS]
    session.execute(insert(TrialRow.__table__), trials)
    session.execute(insert(CurveRow.__table__), curves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    database = Database(Settings(home=Path.cwd(), database_url=SecretStr(options.database)))
    database.upgrade()
    with database.write() as session:
        if session.get(ExperimentRow, EXPERIMENT) is None:
            fill(session)
    wall, cpu = [], []
    for _ in range(options.repeats + 1):
        began, used = time.perf_counter(), time.process_time()
        with database.read() as session:
            answer = comparison(session, [EXPERIMENT], Question()).model_dump(mode="json")
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    print(f"{database.url.get_backend_name()}, {os.cpu_count()} cores of {platform.processor() or platform.machine()}")
    print(f"load {os.getloadavg()[0]:.1f}; {len(answer['arms'])} arms, {len(answer['pairs'])} pairs listed")
    for name, times in (("wall", wall[1:]), ("cpu", cpu[1:])):
        p50, p99 = np.quantile(times, (0.5, 0.99))
        print(f"{name}: p50 {p50:.3f} s, p99 {p99:.3f} s, first {wall[0]:.3f} s")


if __name__ == "__main__":
    main()
