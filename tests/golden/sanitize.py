"""Runs the kernel under the compiler's sanitizers: ``make sanitize``.

Each build trains the golden studies, whose digests must come out, and does all else that the library offers: measuring
layers while another thread trains, eigenvalues, dropout's numbers, a stop in the middle, more threads than processors.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from services.science.streams import Purpose, stream
from services.training.native import build
from services.training.native.between import Between
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort
from services.training.native.measured import Ask
from services.training.native.structures import declared
from services.training.native.targets import runnable
from tests.golden.studies import DIGESTS, digests

BUILDS = {"address,undefined": ("libasan.so", "libubsan.so"), "thread": ("libtsan.so",)}
"""Sanitizers by what is to be loaded before the interpreter."""

OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=66",  # the interpreter keeps memory to its end
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=66",
    "TSAN_OPTIONS": "exitcode=66",
}


def exercise(library: ctypes.CDLL) -> None:
    """Use all of the library but the training of the golden studies."""
    rng = stream(0, Purpose.SYNTHETIC)
    description = NativeDescription(
        (9, 33, 33, 3), "cross_entropy", 32, [{"kind": "gelu"}, {"kind": "relu"}, {"kind": "tanh"}] * 3,
        [{"kind": "adam", "learning_rate": 0.01}] * 9, between=Between(norm="batch", dropout=0.3, residual=True),
    )  # fmt: skip
    trials, shapes = 9, [(9, 33), (33, 33), (33, 3)]
    weights = [rng.normal(0, 0.2, (trials, *shape)).astype(np.float32) for shape in shapes]
    cohort = NativeCohort(
        description, weights, [np.zeros((trials, b), np.float32) for _, b in shapes], threads=7, library=library
    )
    x, y = rng.normal(size=(777, 9)).astype(np.float32), rng.integers(0, 3, 777)
    cohort.set_training_rows(x, y)
    cohort.set_validation_rows(x[:555], y[:555])
    order = np.stack([rng.permutation(777) for _ in range(2)]).astype(np.int32)
    lines = np.arange(trials, dtype=np.int32) % 2
    dropout = (np.arange(trials, dtype=np.uint64), 12345)
    ask = Ask({"moments", "histogram", "saturation", "dead_units", "gradients"}, 128, 128)
    parameters = cohort.lines(None).copy()
    healthy = np.ones(trials, np.bool_)

    def measure() -> None:
        for _ in range(3):
            cohort.measure(parameters, ask, np.full(trials, 0.01, np.float32), healthy)

    beside = threading.Thread(target=measure)
    beside.start()
    for _ in range(3):
        assert cohort.run_epoch(order, lines, dropout=dropout, tick=lambda _: False).whole
        assert cohort.evaluate(lambda _: False) is not None
    beside.join()
    assert cohort.pooled_statistics(500) is not None
    assert cohort.evaluate(own=True) is not None
    shares: list[float] = []

    def soon(share: float) -> bool:
        shares.append(share)
        return len(shares) > 1

    while (begun := cohort.run_epoch(order, lines, dropout=dropout, tick=soon)).whole:
        shares.clear()
    assert cohort.run_epoch(order, lines, dropout=dropout, tick=lambda _: False, begun=begun).whole
    matrices = rng.normal(size=(11, 37, 37))
    matrices = np.ascontiguousarray(matrices @ matrices.transpose(0, 2, 1))
    values = np.empty((11, 37))
    assert library.firstlight_eigenvalues(matrices.ctypes.data, 11, 37, values.ctypes.data) == 0
    np.testing.assert_allclose(np.sort(values, axis=1), np.linalg.eigvalsh(matrices), rtol=1e-9, atol=1e-9)


def run(sanitizers: str, runtimes: tuple[str, ...], folder: Path) -> str:
    """Build and run; an empty text where nothing was found, else what was said."""
    target = runnable()[0]
    flags = (*target.flags, "-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={sanitizers}")
    library = build.compile_kernel(folder / f"kernel-{sanitizers.replace(',', '-')}.so", flags)
    compiler = build.find_compiler()
    libraries = [
        subprocess.run(
            [*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in runtimes
    ]
    # A fixed address space: the thread sanitizer's shadow memory does not fit every random one.
    command = ["setarch", "-R", sys.executable, "-m", "tests.golden.sanitize", "--kernel", str(library)]
    environment: dict[str, Any] = {**os.environ, **OPTIONS, "LD_PRELOAD": " ".join(libraries)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    output = done.stdout + done.stderr
    clean = done.returncode == 0 and "Sanitizer" not in output and "runtime error" not in output
    return "" if clean else f"{output[-8000:]}\nexit status {done.returncode}"


def main() -> int:
    """Run every sanitizer; 1 where one of them reported something."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kernel", help="only use this library, under whatever it was built with")
    options = parser.parse_args()
    if options.kernel:
        library = declared(ctypes.CDLL(options.kernel))
        assert digests(library) == json.loads(DIGESTS.read_text())
        exercise(library)
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for sanitizers, runtimes in BUILDS.items():
            report = run(sanitizers, runtimes, Path(folder))
            sys.stdout.write(f"{sanitizers}: {report or 'nothing found'}\n")
            sys.stdout.flush()
            failed = failed or bool(report)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
