"""The mean and interval of the validation curve of every arm: from this service, and from MLflow's tracking server.

    python bench/mlflow_comparison.py --repeats 7

Both servers hold the same curves in SQLite on this machine, and take turns. Of this service two answers are timed: the
curves (the same numbers as by hand; they are compared), and the whole comparison with tests, ranking and effects, which
MLflow has no counterpart of. MLflow is asked in two ways: through its own client, and over bare keep-alive HTTP, which
leaves out what the client's objects cost. It is started as fast as we know how: two workers, uvloop and httptools,
no job execution. It gets an environment of its own, made in `var/peers/mlflow` if `--mlflow-python` names none.
"""

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydantic import SecretStr
from scipy import special
from sqlalchemy import insert

from firstlight.process import free_port
from services.db.database import Database
from services.db.tables import CohortRow, CurveRow, ExperimentRow, TrialRow
from services.science.grid import Grid, expand
from services.science.spec import ExperimentSpec
from services.science.streams import Purpose, stream
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = "exp_" + "0" * 32
METRIC = "val_loss"
OTHER_METRICS = ("train_loss", "train_accuracy", "val_accuracy", "seconds")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "selu")
INITIALIZERS = ("he_normal", "glorot_normal", "lecun_normal", "random_normal")
TUNED = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "GIT_PYTHON_REFRESH": "quiet"}

Bands = Mapping[str, Mapping[str, list[float]]]
"""Mean, low and high by arm, over the epochs."""


def curves(grid: Grid, epochs: int) -> np.ndarray:
    """Made-up curves that fall with noise, ``[trials, epochs + 1]``."""
    rng = stream(0, Purpose.SYNTHETIC)
    level = np.array([[0.3 + 0.01 * trial.arm_index] for trial in grid.trials]) + 0.05 * rng.normal(
        size=(len(grid.trials), 1)
    )
    return level + np.exp(-np.arange(epochs + 1) / 40) + 0.02 * rng.normal(size=(len(grid.trials), epochs + 1))


def fill(database: Database, spec: ExperimentSpec, grid: Grid, values: np.ndarray) -> None:
    """The finished experiment as the service stores it."""
    content = spec.canonical()
    trials, packed = [], []
    for trial in grid.trials:
        arm, trial_id = grid.arms[trial.arm_index], f"trl_{trial.position:032x}"
        row = {"id": trial_id, "experiment_id": EXPERIMENT, "cohort_id": "coh_" + "0" * 32, "slot": trial.position}
        row |= {"position": trial.position, "arm": arm.model_dump(mode="json"), "arm_key": f"{trial.arm_index:016x}"}
        row |= {
            "label": grid.labels[trial.arm_index],
            "seed": trial.seed,
            "state": "succeeded",
            "epochs_done": spec.epochs,
        }
        trials.append(row)
        curve = values[trial.position].astype("<f8").tobytes()
        packed += [{"trial_id": trial_id, "metric": name, "values": curve} for name in (METRIC, *OTHER_METRICS)]
    with database.write() as session:
        session.add(
            ExperimentRow(
                id=EXPERIMENT,
                state="succeeded",
                spec=content,
                spec_version=1,
                spec_digest=spec.digest(),
                dataset=spec.dataset.name,
                dataset_digest="0" * 64,
                epochs=spec.epochs,
                trial_count=len(trials),
                axes=list(grid.axes),
            )
        )
        session.flush()
        session.add(
            CohortRow(
                id="coh_" + "0" * 32,
                experiment_id=EXPERIMENT,
                position=0,
                size=len(trials),
                epochs=spec.epochs,
                state="succeeded",
            )
        )
        session.flush()
        session.execute(insert(TrialRow.__table__), trials)
        session.execute(insert(CurveRow.__table__), packed)


def environment() -> str:
    """The Python of an environment with MLflow, made on the first run."""
    home = ROOT / "var" / "peers" / "mlflow"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        packages = ["mlflow", "uvloop", "httptools", "scipy"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


@contextmanager
def served(command: list[str], url: str, health: str, extra: Mapping[str, str], log: Path) -> Generator[str]:
    """A server in a process group of its own, from when it answers until it is no longer wanted."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **extra}, cwd=ROOT, start_new_session=True
        )
        try:
            end = time.monotonic() + 120
            while not _healthy(url + health):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{command[:4]} does not answer:\n{log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def from_service(client: httpx.Client) -> Bands:
    """One request; of long curves the numbers at some 400 epochs, which `epoch` tells."""
    answer = client.get(f"/v1/experiments/{EXPERIMENT}/figures/curves.csv", params={"facet": "none"}).raise_for_status()
    bands: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"epoch": [], "mean": [], "low": [], "high": []})
    for row in csv.DictReader(io.StringIO(answer.text)):
        for name, column in bands[row["arm"]].items():
            column.append(float(row[name]))
    return bands


def whole_comparison(client: httpx.Client) -> Any:
    """One request: intervals of every arm, paired tests, ranking, effects and the sentence."""
    return client.get(f"/v1/experiments/{EXPERIMENT}/comparison").raise_for_status().json()


def from_mlflow_http(client: httpx.Client, experiment: str) -> Bands:
    """The runs, the history of each, and the averages by hand."""
    api = "/api/2.0/mlflow"
    query_of_runs = {"experiment_ids": [experiment], "max_results": 1000}
    runs = client.post(f"{api}/runs/search", json=query_of_runs).raise_for_status().json()["runs"]
    members: dict[str, list[list[float]]] = defaultdict(list)
    for run in runs:
        query = {"run_id": run["info"]["run_id"], "metric_key": METRIC}
        points = client.get(f"{api}/metrics/get-history", params=query).raise_for_status().json()["metrics"]
        arm = next(entry["value"] for entry in run["data"]["params"] if entry["key"] == "arm")
        members[arm].append([point["value"] for point in sorted(points, key=lambda point: int(point.get("step", 0)))])
    bands: dict[str, dict[str, list[float]]] = {}
    for arm, rows in members.items():
        table, n = np.array(rows), len(rows)
        mean = table.mean(axis=0)
        margin = special.stdtrit(n - 1, 0.975) * table.std(axis=0, ddof=1) / np.sqrt(n)
        bands[arm] = {"mean": mean.tolist(), "low": (mean - margin).tolist(), "high": (mean + margin).tolist()}
    return bands


def same(ours: Bands, theirs: Bands) -> float:
    """The largest difference between two answers, at the epochs that ours has.

    Raises:
        RuntimeError: they are not about the same arms.
    """
    if set(ours) != set(theirs):
        raise RuntimeError("the two stores do not hold the same arms")
    largest = 0.0
    for arm, band in ours.items():
        places = np.array(band["epoch"], dtype=np.int64)
        for name in ("mean", "low", "high"):
            apart = np.abs(np.array(band[name]) - np.array(theirs[arm][name])[places])
            largest = max(largest, float(apart.max()))
    return largest


def main() -> None:
    """Fill both stores, let all take turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mlflow-python", help="a Python with mlflow, uvloop, httptools and scipy; default: made")
    parser.add_argument("--seeds", type=int, default=10, help="per arm; there are 20 arms")
    parser.add_argument("--epochs", type=int, default=199, help="the untrained network's value comes on top")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    python = options.mlflow_python or environment()
    spec = ExperimentSpec.model_validate(
        {
            "dataset": "digits",
            "activation": ACTIVATIONS,
            "initializer": INITIALIZERS,
            "epochs": options.epochs,
            "seeds": options.seeds,
        }
    )
    grid = expand(spec)
    values = curves(grid, options.epochs)
    by_arm: dict[str, list[list[float]]] = defaultdict(list)
    for trial in grid.trials:
        by_arm[grid.labels[trial.arm_index]].append(values[trial.position].tolist())
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curves-")))
        url = f"sqlite:///{home / 'ours.db'}"
        database = Database(Settings(home=home, database_url=SecretStr(url)))
        database.upgrade()
        fill(database, spec, grid, values)
        port, other = free_port("127.0.0.1"), free_port("127.0.0.1")
        command = [sys.executable, "-m", "api", "--port", str(port)]
        ours_at = {"FIRSTLIGHT_HOME": str(home), "FIRSTLIGHT_DATABASE_URL": url}
        service = stack.enter_context(
            served(command, f"http://127.0.0.1:{port}", "/healthz", ours_at, home / "ours.log")
        )
        command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(other), "--workers", "2"]
        command += [
            "--backend-store-uri",
            f"sqlite:///{home / 'mlflow.db'}",
            "--artifacts-destination",
            str(home / "a"),
        ]
        command += ["--uvicorn-opts", "--loop uvloop --http httptools --log-level warning"]
        mlflow = stack.enter_context(
            served(command, f"http://127.0.0.1:{other}", "/health", TUNED, home / "mlflow.log")
        )
        asking = stack.enter_context(
            subprocess.Popen(
                [python, str(ROOT / "bench" / "mlflow_client.py"), mlflow],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context((home / "client.log").open("wb")),
                text=True,
                env={**os.environ, **TUNED},
            )
        )
        stack.callback(asking.terminate)
        assert asking.stdin is not None
        assert asking.stdout is not None
        wire_in, wire_out = asking.stdin, asking.stdout

        def ask(line: str) -> dict[str, Any]:
            wire_in.write(line + "\n")
            wire_in.flush()
            answer = wire_out.readline()
            if not answer:
                raise RuntimeError((home / "client.log").read_text()[-2000:])
            return json.loads(answer)

        filled = ask(json.dumps(by_arm))
        print(f"MLflow's store filled in {filled['seconds']:.1f} s", flush=True)
        here = stack.enter_context(httpx.Client(base_url=service, timeout=600))
        there = stack.enter_context(httpx.Client(base_url=mlflow, timeout=600))
        contenders: dict[str, Callable[[], Any]] = {
            "service, curves (1 request)": lambda: from_service(here),
            "service, whole comparison (1 request)": lambda: whole_comparison(here),
            f"MLflow's client ({len(grid.trials) + 1} requests)": lambda: ask("again"),
            f"MLflow, bare HTTP ({len(grid.trials) + 1} requests)": lambda: from_mlflow_http(
                there, filled["experiment"]
            ),
        }
        report(contenders, options.repeats, values.size)


def report(contenders: Mapping[str, Callable[[], Any]], repeats: int, size: int) -> None:
    """Take turns after one round of warming up, check that the answers agree, print medians and ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    answers: dict[str, Any] = {}
    loads = []
    for turn in range(repeats + 1):
        loads.append(os.getloadavg()[0])
        for name, work in contenders.items():
            began = time.perf_counter()
            answer = work()
            took = time.perf_counter() - began
            if isinstance(answer, dict) and "seconds" in answer and "answer" in answer:
                took, answer = answer["seconds"], answer["answer"]
            answers[name] = answer
            if turn:
                seconds[name].append(took)
    curves_name, _, client_name, http_name = contenders
    print(f"{os.cpu_count()} cores, load {min(loads):.1f} to {max(loads):.1f}; {repeats} turns each, seconds:")
    base = seconds[curves_name]
    for name, times in seconds.items():
        ratios = [theirs / ours for theirs, ours in zip(times, base, strict=True)]
        spread = f"{min(times):.4f} to {max(times):.4f}"
        print(f"{name}: median {statistics.median(times):.4f} ({spread}), {statistics.median(ratios):.1f} x the first")
    furthest = max(same(answers[curves_name], answers[name]) for name in (client_name, http_name))
    print(f"{size} values; largest difference between the answers {furthest:.1e}")


if __name__ == "__main__":
    main()
