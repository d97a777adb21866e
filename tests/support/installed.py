"""The wheel as a stranger has it: built from this checkout and installed into environments of its own, offline."""

import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-P", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    without_kernels = {**os.environ, "FIRSTLIGHT_KERNELS": "none"}  # a minute of compiling; not what is looked at here
    subprocess.run(command, cwd=ROOT, env=without_kernels, check=True, capture_output=True, timeout=200)
    return next(folder.glob("*.whl"))


def make_environment(folder: Path, wheel: Path) -> Path:
    """A new environment with the wheel and nothing else; returns the folder of its commands."""
    venv.create(folder, symlinks=True, with_pip=False)
    commands = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, timeout=200)
    return commands


@pytest.fixture(scope="session")
def server_commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`firstlight[server]`: the wheel's packages, and this environment's libraries behind them."""
    folder = tmp_path_factory.mktemp("server")
    commands = make_environment(folder, wheel)
    # Its own .pth files are not followed, so that the checkout itself is not found through it.
    (folder / SITE / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return commands


def add_locked(folder: Path, *locks: str) -> None:
    """Put those of this environment's libraries into another one that these locks name."""
    for lock in locks:
        for line in (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines():
            name, pinned, rest = line.partition("==")
            if not pinned or "sys_platform == 'win32'" in rest:
                continue
            try:
                files = metadata.files(name) or ()
            except metadata.PackageNotFoundError:
                continue  # of PyTorch's builds only one is here
            for file in files:
                target = folder / SITE / file.parts[0]
                if ".." not in file.parts and not target.exists():
                    target.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / file.parts[0])


@pytest.fixture(scope="session")
def client_commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`firstlight` alone: the wheel, and the libraries of requirements/client.txt."""
    folder = tmp_path_factory.mktemp("client")
    commands = make_environment(folder, wheel)
    add_locked(folder, "client")
    return commands


@pytest.fixture(scope="session")
def api_commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`firstlight[api]`."""
    folder = tmp_path_factory.mktemp("api")
    commands = make_environment(folder, wheel)
    add_locked(folder, "api")
    return commands


@pytest.fixture(scope="session")
def worker_commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`firstlight[worker]`."""
    folder = tmp_path_factory.mktemp("worker")
    commands = make_environment(folder, wheel)
    add_locked(folder, "worker", "torch")
    return commands
