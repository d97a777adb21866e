"""Finds the compiled kernel: a build that the package carries, or one that the user's compiler makes at first use.

A build made here is kept for the next time. Its name carries a digest of the sources, the compiler and all it
predefines for this processor, so that a library is never used on a machine or with sources it was not made for.
``python -m services.training.native.build`` compiles ahead of the first use, ``--which`` tells what is used here.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from services.processes import run
from services.training.native.targets import Processor, processor, runnable

SOURCES = Path(__file__).parent
"""Where the C++ files lie."""

CARRIED = SOURCES / "carried"
"""Where an installed package keeps the builds that came with it; see hatch_build.py."""

FLAGS = (
    "-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    "-fvisibility=hidden", "-fPIC", "-shared", "-pthread", "-Wfatal-errors",
)  # fmt: skip
"""No -ffast-math: infinities and NaN must keep their meaning, or divergence could not be seen. No fused multiply-adds
but those that are written: the compiler's would differ between a vector's loop and its tail, and between processors.
Hidden symbols, or two kernels in one process would share their templates' tables."""

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")
"""For builds by this project; a stranger's compiler may know a warning that is not known here."""

COMPILERS = ("c++", "g++", "clang++")
PROCESSOR_SECONDS = 600
"""Processor time for one compilation: some twenty times what it takes."""


class KernelUnavailableError(RuntimeError):
    """The kernel cannot be compiled or loaded here; train with another engine."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/firstlight/kernels``, or the same below ``~/.cache``: one for all homes of this user."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "firstlight" / "kernels"


@cache
def load_kernel(folder: Path | None = None) -> ctypes.CDLL:
    """Load the kernel: the one that came with the package, else one in `folder` (default: `cache_folder()`).

    Raises:
        KernelUnavailableError: a processor without fused multiply-adds, no compiler, one that fails, or a folder one
            cannot write to or run from.
    """
    path = find_kernel(folder or cache_folder())
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelUnavailableError(f"the compiled kernel {path} cannot be loaded: {error}") from error


def find_kernel(folder: Path) -> Path:
    """The path of the quickest carried build that this processor runs, else of one in `folder`, compiled if missing.

    Raises:
        KernelUnavailableError: see `load_kernel`.
    """
    check_processor(processor())
    return carried() or build_kernel(folder)


def check_processor(here: Processor) -> None:
    """Refuse a processor that the kernel cannot run on.

    Raises:
        KernelUnavailableError: it is known to lack fused multiply-adds.
    """
    if here.machine == "x86_64" and here.features and not {"avx2", "fma"} <= here.features:
        raise KernelUnavailableError(
            "this processor has no fused multiply-adds (x86-64-v3: AVX2 and FMA), which the kernel needs"
        )


def carried() -> Path | None:
    """The quickest build in the package that this processor runs; none in a checkout."""
    paths = (CARRIED / target.file for target in runnable())
    return next((path for path in paths if path.is_file()), None)


def build_kernel(folder: Path) -> Path:
    """Return the library's path in `folder`, compiling it for this processor if it is missing.

    Several processes may do so at once: each compiles into a file of its own and renames it, and all are the same.

    Raises:
        KernelUnavailableError: see `load_kernel`.
    """
    compiler = find_compiler()
    target = _target_flags(compiler)
    path = folder / f"kernel-{_digest(compiler, target)}.so"
    return path if path.exists() else compile_kernel(path, target)


def compile_kernel(path: Path, flags: tuple[str, ...]) -> Path:
    """Compile the kernel into a file; nothing half-done is left there.

    Raises:
        KernelUnavailableError: no compiler, one that fails, or a folder one cannot write to.
    """
    compiler = find_compiler()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as scratch:
            library = Path(scratch) / "kernel.so"
            _run([*compiler, *FLAGS, *flags, str(SOURCES / "cohort.cpp"), "-o", str(library)])
            library.replace(path)
    except OSError as error:
        raise KernelUnavailableError(f"the kernel cannot be kept in {path.parent}: {error}") from error
    return path


def identity() -> str:
    """Names the kernel that is used here, by its sources, compiler and processor; empty where none can be had."""
    try:
        check_processor(processor())
        if path := carried():
            return f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:24]}"
        compiler = find_compiler()
        return _digest(compiler, _target_flags(compiler))
    except KernelUnavailableError:
        return ""


def find_compiler() -> tuple[str, ...]:
    """The C++ compiler's command: ``$CXX``, or the first of `COMPILERS` on the path.

    Raises:
        KernelUnavailableError: there is none.
    """
    if named := os.environ.get("CXX"):
        command = shlex.split(named)
        if shutil.which(command[0]) is None:
            raise KernelUnavailableError(f"CXX names {command[0]!r}, which is not a program on the path")
        return tuple(command)
    for name in COMPILERS:
        if compiler := shutil.which(name):
            return (compiler,)
    raise KernelUnavailableError(f"no C++ compiler found: looked for {', '.join(COMPILERS)}; install one or set CXX")


def _target_flags(compiler: tuple[str, ...]) -> tuple[str, ...]:
    """The flag that makes code for this very processor, as far as the compiler knows one."""
    for flag in ("-march=native", "-mcpu=native"):
        try:
            _predefined(compiler, (flag,))
        except KernelUnavailableError:
            continue
        return (flag,)
    return ()


def _predefined(compiler: tuple[str, ...], flags: tuple[str, ...]) -> str:
    """The compiler's predefined macros: its version, and every instruction set it may use."""
    return _run([*compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull])


def _digest(compiler: tuple[str, ...], target: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join([*compiler, *FLAGS, *target]).encode())
    digest.update(_predefined(compiler, target).encode())
    for source in sorted([*SOURCES.glob("*.hpp"), *SOURCES.glob("*.cpp")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:24]


def _run(command: list[str]) -> str:
    try:
        done = run(command, seconds=None, processor_seconds=PROCESSOR_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise KernelUnavailableError(f"the compiler {command[0]} did not run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-20:])
        raise KernelUnavailableError(f"the compiler {command[0]} ended with status {done.returncode}:\n{tail}")
    return done.stdout


def main() -> int:
    """Compile ahead of the first use, or with ``--which`` tell what is used; 1 and a reason where there is none."""
    try:
        if "--which" in sys.argv[1:]:
            check_processor(processor())
            path = carried()
            sys.stdout.write(f"{path}\n" if path else f"compiled here by {shlex.join(find_compiler())}\n")
        else:
            sys.stdout.write(f"{find_kernel(cache_folder())}\n")
    except KernelUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
