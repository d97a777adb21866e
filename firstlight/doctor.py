"""`firstlight doctor`: is everything there that the service needs, and does the service answer?"""

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

import httpx
from rich.console import Console

from firstlight.client import Client, FirstlightHTTPError

NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "fastapi",
    "uvicorn",
    "celery",
    "redis",
    "sqlalchemy",
    "pydantic",
    "psycopg",
    "vl-convert-python",
)
LOW_DISK = 1 << 30


def examine(url: str | None, console: Console) -> int:
    """Print one line per check; return 0 when all are good, else 1."""
    checks = [_python(), *(_package(name) for name in NEEDED), _compiler(), _disk(), *_service(url)]
    for good, line in checks:
        mark = {True: "[green]ok  [/]", False: "[red]bad [/]", None: "[yellow]note[/]"}[good]
        console.print(f"{mark} {line}", highlight=False)
    return int(any(good is False for good, _ in checks))


def _python() -> tuple[bool, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    return sys.version_info >= (3, 11), f"Python {version} (3.11 or newer is needed)"


def _package(name: str) -> tuple[bool, str]:
    try:
        return True, f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return False, f"{name} is not installed; run `make setup`"


def _compiler() -> tuple[bool | None, str]:
    found = next(
        (path for name in (os.environ.get("CXX"), "c++", "g++", "clang++") if name and (path := shutil.which(name))),
        None,
    )
    if found:
        return True, f"C++ compiler {found}: the fast CPU engine can be built"
    return None, "no C++ compiler: trials train with PyTorch alone, which is slower for small networks"


def _disk() -> tuple[bool, str]:
    home = Path(os.environ.get("FIRSTLIGHT_HOME", "~/.firstlight")).expanduser()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    return free > LOW_DISK, f"{free / 2**30:.1f} GiB free for {home}"


def _service(url: str | None) -> list[tuple[bool | None, str]]:
    with Client(url, timeout=5.0) as client:
        try:
            report = client.ready()
        except httpx.TransportError:
            return [(None, f"no service answers at {client.url}; `firstlight up` starts one")]
        except FirstlightHTTPError as error:
            return [(False, f"the service at {client.url} is not ready: {error.problem.get('detail')}")]
    return [(True, f"the service at {client.url} is ready: {report}")]
