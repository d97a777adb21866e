"""`firstlight doctor`: is everything there that the service needs, and does the service answer?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from firstlight.client import Client, FirstlightHTTPError, UnexpectedAnswerError
from firstlight.installed import INSTALL, missing, pytorch_build, version_of
from firstlight.output import plain

PROCESSES = {"api": "fastapi", "worker": "torch"}
"""The extra of each process, and the package without which that process is not meant to run here."""
SHOWN = (
    "torch",
    "fastapi",
    "celery",
    "numpy",
    "scipy",
    "uvicorn",
    "redis",
    "sqlalchemy",
    "psycopg",
    "vl-convert-python",
)
"""The packages of the service whose versions are told; all that it needs are looked for."""
BUCKETS = ("s3://", "gs://", "az://")
"""How the URL of a store begins that is no folder."""
LOW_DISK = 1 << 30
KERNEL_SECONDS = 60


def examine(url: str | None, console: Console) -> int:
    """Print one line per check; return 0 when all are good, else 1."""
    checks = [_python(), *_installation(), *_service(url)]
    for good, line in checks:
        mark, style = {True: ("ok  ", "green"), False: ("bad ", "red"), None: ("note", "yellow")}[good]
        console.print(Text.assemble((mark, style), " ", plain(line)), soft_wrap=True)
    return int(any(good is False for good, _ in checks))


def _python() -> tuple[bool, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    return sys.version_info >= (3, 11), f"Python {version} (3.11 or newer is needed)"


def _installation() -> list[tuple[bool | None, str]]:
    left_out = [extra for extra, package in PROCESSES.items() if version_of(package) is None]
    if len(left_out) == len(PROCESSES):
        return [(None, f"only the client is installed; the service comes with {INSTALL}")]
    broken = sorted({name for extra in PROCESSES if extra not in left_out for name in missing(extra)})
    checks: list[tuple[bool | None, str]] = [
        (True, f"PyTorch {version}: {pytorch_build(version)}" if name == "torch" else f"{name} {version}")
        for name in SHOWN
        if (version := version_of(name)) is not None
    ]
    if left_out:
        checks.append((None, f"the {left_out[0]} process is not installed; it comes with {INSTALL}"))
    if broken:
        checks.append((False, f"the service needs {', '.join(broken)}: {INSTALL}, or `make setup` in a checkout"))
    if os.environ.get("FIRSTLIGHT_ARTIFACTS_URL", "").startswith(BUCKETS) and version_of("obstore") is None:
        checks.append((False, "FIRSTLIGHT_ARTIFACTS_URL names a bucket, which needs pip install 'firstlight[objects]'"))
    return [*checks, _kernel(), _disk()]


def _kernel() -> tuple[bool | None, str]:
    """Which compiled CPU engine this machine uses; asked of the service's own module, which is not imported here."""
    command = [sys.executable, "-P", "-m", "services.training.native.build", "--which"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=KERNEL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"the compiled CPU engine could not be asked for: {error}"
    if done.returncode == 0:
        return True, f"compiled CPU engine: {done.stdout.strip()}"
    reason = done.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
    return None, f"no compiled CPU engine, trials train with PyTorch, slower for small networks: {reason[0]}"


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
        except UnexpectedAnswerError as error:
            return [(False, str(error))]
        except FirstlightHTTPError as error:
            parts = [f"{name}: {part['detail']}" for name, part in error.problem.items() if _is_down(part)]
            why = "; ".join(parts) or error.problem.get("detail")
            return [(False, f"the service at {client.url} is not ready: {why}")]
    checks: list[tuple[bool | None, str]] = [(True, f"the service at {client.url} is ready: {report}")]
    store = report.get("store")  # an older service does not say
    if isinstance(store, dict) and store.get("status") != "ok":
        checks.append((False, f"the store of checkpoints and uploads: {store.get('detail')}"))
    return checks


def _is_down(part: object) -> bool:
    return isinstance(part, dict) and part.get("status") == "down"
