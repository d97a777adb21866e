"""What a child process is given to see: an allow-list without credentials, and its share of the processor's cores."""

import os
from collections.abc import Mapping

from services.settings import Settings

ALLOWED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CACHE_HOME")
ALLOWED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "KMP_", "MKL_", "PYTHON", "COVERAGE_")
FOR_TESTS = ("FIRSTLIGHT_TESTING", "FIRSTLIGHT_FAULT")
MARK = "FIRSTLIGHT_WORKER"
"""Names the worker a child belongs to, so that an orphan can be told."""


def threads(settings: Settings) -> int:
    """Processor threads of one slot: as set, or an equal share of the cores this process may use."""
    if settings.threads is not None:
        return settings.threads
    return max(1, usable_cores() // max(1, settings.slots))


def usable_cores() -> int:
    """The cores this process may use, where the system says so (Linux); else all that the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def child_environment(environment: Mapping[str, str], settings: Settings, worker_id: str) -> dict[str, str]:
    """The child's environment. The thread counts must be there before the libraries that read them are loaded."""
    variables = {
        name: value
        for name, value in environment.items()
        if name in ALLOWED or name in FOR_TESTS or name.startswith(ALLOWED_PREFIXES)
    }
    count = str(threads(settings))
    return {
        **variables,
        MARK: worker_id,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        # NumPy's own: only the layers' diagnostics use it, beside training that has the cores. On a busy machine two
        # threads took ten times as long as one for the eigenvalues of 500 rows, for each spins while it waits.
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that wait in a loop for neighbours without a core made a step ten times slower on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
        # glibc gives each thread a pool that holds no large blocks: a convolution's activations would be asked of the
        # system, and cleared page by page, at every layer (a fifth of a step).
        "MALLOC_ARENA_MAX": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONUNBUFFERED": "1",
    }
