"""The client's side of `mlflow_comparison.py`, run by a Python that has MLflow: fill a store, then answer when asked.

For every line on stdin the mean and the t interval of the curve of every arm are put together in the way that MLflow's
public client offers: list the runs, ask for the history of each, average by hand. One JSON object goes out for each.
"""

import json
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from scipy import special

METRIC = "val_loss"


def fill(client: MlflowClient, curves: dict[str, list[list[float]]]) -> str:
    """One run per curve, with the name of its arm as a parameter. Returns the experiment's id."""
    experiment = client.create_experiment("curves")
    for arm, members in curves.items():
        for seed, values in enumerate(members):
            run = client.create_run(experiment).info.run_id
            points = [Metric(METRIC, value, 0, epoch) for epoch, value in enumerate(values)]
            client.log_batch(run, metrics=points, params=[Param("arm", arm), Param("seed", str(seed))])
            client.set_terminated(run)
    return experiment


def bands(client: MlflowClient, experiment: str) -> dict[str, dict[str, list[float]]]:
    """Mean, low and high by arm and epoch; one request for the runs, one for the history of each."""
    histories: dict[str, list[list[float]]] = defaultdict(list)
    token: str | None = None
    while True:
        runs = client.search_runs([experiment], max_results=1_000, page_token=token)
        for run in runs:
            points = client.get_metric_history(run.info.run_id, METRIC)
            values = [point.value for point in sorted(points, key=lambda point: point.step)]
            histories[run.data.params["arm"]].append(values)
        token = runs.token
        if not token:
            break
    answer = {}
    for arm, members in histories.items():
        table = np.array(members)
        n = len(members)
        mean = table.mean(axis=0)
        margin = special.stdtrit(n - 1, 0.975) * table.std(axis=0, ddof=1) / np.sqrt(n)
        answer[arm] = {"mean": mean.tolist(), "low": (mean - margin).tolist(), "high": (mean + margin).tolist()}
    return answer


def say(message: dict[str, Any]) -> None:
    """One line of JSON on the real stdout, where MLflow would otherwise print links to its runs."""
    sys.__stdout__.write(json.dumps(message) + "\n")
    sys.__stdout__.flush()


def main() -> None:
    """The first line on stdin holds the curves, every later one asks for the answer."""
    sys.stdout = sys.stderr
    client = MlflowClient(sys.argv[1])
    began = time.perf_counter()
    experiment = fill(client, json.loads(sys.stdin.readline()))
    say({"seconds": time.perf_counter() - began, "experiment": experiment})
    for _ in sys.stdin:
        began = time.perf_counter()
        answer = bands(client, experiment)
        say({"seconds": time.perf_counter() - began, "answer": answer})


if __name__ == "__main__":
    main()
