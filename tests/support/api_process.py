"""The API as a process of its own, its log in a file, and raw connections to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import httpx
import psutil

from tests.support.servers import free_port
from tests.support.workers import PATIENCE


@dataclass
class ApiProcess:
    """A running API."""

    port: int
    process: subprocess.Popen[bytes]
    log_path: Path
    http: httpx.Client

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text("utf-8", errors="replace")

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def processor_seconds(self) -> float:
        """Processor time it has taken: what its work costs, however busy the machine is."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def api_process(home: Path, migrated: Path, **settings: str) -> Iterator[ApiProcess]:
    """Serve a copy of a migrated database; `settings` are variables without their prefix."""
    copyfile(migrated, home / "firstlight.db")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    with api_in({**environment, "FIRSTLIGHT_HOME": str(home)}, home, **settings) as api:
        yield api


@contextmanager
def api_in(environment: dict[str, str], folder: Path, **settings: str) -> Iterator[ApiProcess]:
    """Serve what this environment names, with these settings beside; the log goes into the folder."""
    port = free_port()
    own = {f"FIRSTLIGHT_{name.upper()}": value for name, value in settings.items()}
    log_path = folder / "api.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "api", "--port", str(port)],
            env={**environment, "FIRSTLIGHT_LOG_FORMAT": "json", **own},
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            api = ApiProcess(port, process, log_path, client)
            while not _answers(client):
                assert process.poll() is None, api.log
                time.sleep(0.05)
            yield api
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False
