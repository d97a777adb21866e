"""Installs PyTorch into this Python's environment: ``python requirements/install_torch.py cpu`` (or ``cuda``).

PyTorch is apart from the other locks because there is a choice. On Linux the package index serves the build for NVIDIA
GPUs, several GB with its libraries; the CPU build, 0.2 GB, lies on PyTorch's own index. That one is taken by its exact
version, the rest by the hashes in ``torch.txt``. Where the CPU build is not to be had, the other trains on the CPU too.
"""

import argparse
import importlib
import re
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).resolve().with_name("torch.txt")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 5.0
FOR_CUDA = re.compile(r"^(triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+)==", re.MULTILINE)
"""The libraries in the lock that only the CUDA build needs."""
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def main() -> int:
    """Install the build that is asked for, or the other where that cannot be had, and say which and how large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", choices=("cpu", "cuda"))
    parser.add_argument("--index", default=CPU_INDEX, help="where CPU builds for Linux are (default: PyTorch's index)")
    parser.add_argument("--lock", type=Path, default=LOCK, help="versions and hashes (default: torch.txt)")
    options = parser.parse_args()
    build = options.build
    text = options.lock.read_text("utf-8")
    pinned = re.search(r"^torch==(\S+)", text, re.MULTILINE)
    assert pinned is not None
    version, libraries = pinned.group(1), FOR_CUDA.findall(text)
    if build == "cpu" and sys.platform == "linux" and installed("torch") != f"{version}+cpu":
        problem = cpu_build(version, options.index)
        if problem:
            say(f"no CPU build of PyTorch {version}: {problem}")
            if installed("torch") != version:
                say("installing the build with CUDA instead, a download of several GB; it trains on the CPU too")
            build = "cuda"
    if build == "cuda" or sys.platform != "linux":
        if "+" in (installed("torch") or ""):
            run("uninstall", "--yes", "torch")  # to pip, 2.13.0+cpu is a 2.13.0 like any other
        run("install", "--require-hashes", "--requirement", str(options.lock))
    elif superfluous := [name for name in libraries if installed(name)]:
        run("uninstall", "--yes", *superfluous)
    importlib.invalidate_caches()
    size = sum(disk_bytes(name) for name in ("torch", *libraries))
    say(f"PyTorch {installed('torch')} is installed, {size / 1e9:.1f} GB on disk")
    return 0


def cpu_build(version: str, index: str) -> str | None:
    """Install the CPU build; its own dependencies are in the other locks. Returns why it is not there, if so."""
    reached = answers(f"{index}/torch/")
    where = ("--extra-index-url", index) if reached else ()
    command = [*PIP, "install", "--no-deps", "--only-binary", "torch", *where, f"torch=={version}+cpu"]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return None
    if not reached:
        return f"{index} does not answer"
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with status {done.returncode}"


def answers(url: str) -> bool:
    """Whether the address can be reached; pip itself would try for a minute, and complain."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS):  # noqa: S310 - a constant above
            return True
    except OSError:
        return False


def run(*words: str) -> None:
    """Run pip; ends this program where it fails, after pip has said why."""
    done = subprocess.run([*PIP, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def installed(name: str) -> str | None:
    """The version of a package in this environment."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def disk_bytes(name: str) -> int:
    """The size of a package's files; 0 where it is not installed."""
    try:
        return sum(file.size or 0 for file in metadata.files(name) or ())
    except metadata.PackageNotFoundError:
        return 0


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
