"""Compiles the kernel's C++ sources with the user's compiler at first use and keeps the library for the next time.

The library's name carries a digest of the sources, the compiler and all it predefines for this processor, so that a
library is never used on a machine or with sources it was not made for. ``python -m services.training.native.build``
compiles ahead of the first use.
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

SOURCES = Path(__file__).parent
"""Where the C++ files lie."""

FLAGS = (
    "-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    "-fvisibility=hidden", "-fPIC", "-shared",
)  # fmt: skip
"""No -ffast-math: infinities and NaN must keep their meaning, or divergence could not be seen. Hidden symbols, or two
kernels in one process would share their templates' tables."""

COMPILERS = ("c++", "g++", "clang++")
TIMEOUT_SECONDS = 300


class KernelUnavailableError(RuntimeError):
    """The kernel cannot be compiled or loaded here; train with another engine."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/firstlight/kernels``, or the same below ``~/.cache``: one for all homes of this user."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "firstlight" / "kernels"


@cache
def load_kernel(folder: Path | None = None) -> ctypes.CDLL:
    """Load the kernel, compiling it if it is not in `folder` (default: `cache_folder()`).

    Raises:
        KernelUnavailableError: no compiler, a compiler that fails, or a folder one cannot write to or run from.
    """
    path = build_kernel(folder or cache_folder())
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelUnavailableError(f"the compiled kernel {path} cannot be loaded: {error}") from error


def build_kernel(folder: Path) -> Path:
    """Return the library's path in `folder`, compiling it if it is missing.

    Several processes may do so at once: each compiles into a file of its own and renames it, and all are the same.

    Raises:
        KernelUnavailableError: see `load_kernel`.
    """
    compiler = find_compiler()
    target = _target_flags(compiler)
    path = folder / f"kernel-{_digest(compiler, target)}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch:
            library = Path(scratch) / "kernel.so"
            _run([*compiler, *FLAGS, *target, str(SOURCES / "cohort.cpp"), "-o", str(library), "-pthread"])
            library.replace(path)
    except OSError as error:
        raise KernelUnavailableError(f"the kernel cannot be kept in {folder}: {error}") from error
    return path


def identity() -> str:
    """Names the kernel that would be made here, its sources, compiler and processor; empty where none can be made."""
    try:
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
        if found := shutil.which(name):
            return (found,)
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
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelUnavailableError(f"the compiler {command[0]} did not run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-20:])
        raise KernelUnavailableError(f"the compiler {command[0]} ended with status {done.returncode}:\n{tail}")
    return done.stdout


def main() -> int:
    """Compile ahead of the first use; 1 and a reason where that cannot be done."""
    try:
        sys.stdout.write(f"{build_kernel(cache_folder())}\n")
    except KernelUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
