"""The probe: one line of numbers a machine can have, and the arithmetic that takes times apart."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import nnls

from services.quotes.machine import KERNEL, NUMBERS, POSITIVE, checked
from services.science.models import Mlp
from services.science.streams import Purpose, stream
from services.training import calibrate
from services.training.calibrate import Study, measure, shares, time_all
from services.training.native.build import KernelUnavailableError


def probe(*options: str) -> dict[str, float | None]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "services.training.calibrate", "--threads", "1", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_the_probe_prints_one_line_of_numbers_that_a_machine_can_have() -> None:
    rates = probe("--device", "cpu")
    assert rates.keys() == set(NUMBERS)
    assert all(value is not None and math.isfinite(value) and value >= 0 for value in rates.values())
    assert all(rates[name] for name in (*POSITIVE, "kernel_flops"))
    assert checked(rates) == rates


def test_without_the_kernel_its_numbers_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise KernelUnavailableError("no C++ compiler found")

    monkeypatch.setattr(calibrate, "kernel", gone)
    monkeypatch.setattr(calibrate, "configure", lambda _device, _threads: "cpu")
    monkeypatch.setattr(calibrate, "ROUNDS", 1)
    rates = measure("cpu", 1, "auto")
    assert [name for name, value in rates.items() if value is None] == list(KERNEL)
    assert checked(rates)["kernel_flops"] == 0.0


def test_an_engine_that_is_not_used_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "configure", lambda _device, _threads: "cpu")
    monkeypatch.setattr(calibrate, "time_all", lambda studies, _device, _threads: dict.fromkeys(studies, 1e-3))
    assert measure("cpu", 1, "eager")["kernel_flops"] is None
    assert measure("cpu", 1, "auto")["kernel_flops"] is not None


def test_a_study_counts_its_own_work() -> None:
    study = Study(Mlp(hidden=(7,)), (5,), 1, 3)
    parameters = 6 * 7 + 8 * calibrate.CLASSES
    assert study.operations == 3 * calibrate.BATCH * 6 * parameters
    assert study.numbers == 3 * calibrate.BATCH * (7 + calibrate.CLASSES)
    assert study.layers == 6


def test_every_study_is_timed() -> None:
    timed = time_all({"a": Study(Mlp(hidden=(3,)), (2,), 1, 1), "b": Study(Mlp(hidden=(3,)), (2,), 2, 2)}, "cpu", 1)
    assert timed.keys() == {"a", "b"}
    assert all(0 < seconds < np.inf for seconds in timed.values())


@pytest.mark.parametrize("sorts", [1, 2, 3])
def test_shares_that_are_there_are_found(sorts: int) -> None:
    rng = stream(sorts, Purpose.SYNTHETIC)
    for _ in range(20):
        parts = rng.uniform(1.0, 1e9, (sorts + 1, sorts))
        truth = rng.uniform(1e-12, 1e-9, sorts)
        assert shares(parts.tolist(), (parts @ truth).tolist()) == pytest.approx(truth.tolist(), rel=1e-6)


def test_shares_are_the_nearest_that_are_not_negative() -> None:
    """Held to Lawson and Hanson's algorithm in SciPy wherever that keeps the first sort."""
    rng = stream(7, Purpose.SYNTHETIC)
    compared = cut = 0
    for _ in range(200):
        parts, seconds = rng.uniform(0.0, 10.0, (3, 3)), rng.uniform(0.5, 5.0, 3)
        reference, _ = nnls(parts / seconds[:, None], np.ones(3))
        fitted = shares(parts.tolist(), seconds.tolist())
        assert fitted[0] > 0
        assert min(fitted) >= 0
        if reference[0] > 1e-9:
            assert fitted == pytest.approx(reference.tolist(), abs=1e-8)
            compared += 1
            cut += bool((reference == 0).any())
    assert compared > 100
    assert cut > 30
