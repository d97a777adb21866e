"""How many processes share the tests (`pytest -n auto`): as many as the cores and the memory there are for."""

import os

import psutil
import pytest

MEMORY_BYTES = 2 * 2**30
"""For each: PyTorch, a database server, and the workers and children of one test."""
MOST = 16
"""Beyond it the longest file of tests is what is waited for."""
LEAST_THREADS = 2


def usable_cores() -> int:
    """The cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The number for ``-n auto``; the libraries' threads are shared out among them."""
    fitting = psutil.virtual_memory().available // MEMORY_BYTES
    count = max(1, min(usable_cores(), fitting, MOST))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(LEAST_THREADS, usable_cores() // count)))
    return int(count)
