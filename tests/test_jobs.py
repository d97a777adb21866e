"""The tests are shared by as many processes as there are cores and memory for."""

from types import SimpleNamespace

import psutil
import pytest

from tests.support import jobs


@pytest.mark.parametrize(
    ("cores", "gib", "count", "threads"),
    [(2, 24, 2, "2"), (1, 24, 1, "2"), (8, 64, 8, "2"), (8, 9, 4, "2"), (64, 256, 16, "4"), (4, 1, 1, "4")],
)
def test_cores_and_memory_bound_the_number(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, cores: int, gib: int, count: int, threads: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "restored afterwards")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(jobs, "usable_cores", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gib * 2**30))
    assert request.config.hook.pytest_xdist_auto_num_workers(config=request.config) == count
    assert jobs.os.environ["OMP_NUM_THREADS"] == threads
