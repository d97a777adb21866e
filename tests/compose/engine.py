"""The container engine at hand: a Docker engine with its compose plugin, or podman with podman-compose."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PODMAN_COMPOSE = "podman-compose==1.6.0"
BUILD_SECONDS = 3600
SECONDS = 300
STRICT_PODMAN = """#!/bin/sh
[ "$1" != create ] || { shift; set -- create --read-only-tmpfs=false "$@"; }
exec podman "$@"
"""


class ComposeError(Exception):
    """Something is not as it should be; the message says what."""


def run(
    command: Sequence[str], environment: Mapping[str, str], *, seconds: float = SECONDS, log: Path | None = None
) -> str:
    """Run a program to its end and give back what it printed; with `log`, what it printed goes there too."""
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ComposeError(f"{' '.join(command)}: not done after {seconds:.0f} s") from error
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise ComposeError(f"{' '.join(command)}: status {done.returncode}\n{tail}")
    return done.stdout


class Engine:
    """Docker's command line, which podman's follows, and the compose of either."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.log = folder / "engine.log"
        self.environment = dict(environment)
        self.is_podman = not self._has_docker()
        self.words: tuple[str, ...] = ("podman",) if self.is_podman else ("docker",)
        self.compose_words: tuple[str, ...] = ("docker", "compose")
        self.probes = False
        """Whether health checks must be run from here."""
        if self.is_podman:
            self._prepare_podman(folder)

    def _has_docker(self) -> bool:
        try:
            run(("docker", "compose", "version"), self.environment)
            run(("docker", "info"), self.environment)
        except (ComposeError, OSError):
            return False
        return True

    def _prepare_podman(self, folder: Path) -> None:
        if shutil.which("podman") is None:
            raise ComposeError(
                "neither a Docker engine with its compose plugin nor podman is there: apt-get install podman"
            )
        if os.geteuid() != 0:
            raise ComposeError(
                "with podman this test needs root: limits and networks of a user of its own differ by machine"
            )
        tool = ROOT / "var" / "podman-compose" / "bin"
        if not (tool / "podman-compose").exists():
            run((sys.executable, "-m", "venv", str(tool.parent)), self.environment)
            run((str(tool / "python"), "-m", "pip", "install", "--quiet", PODMAN_COMPOSE), self.environment)
        # podman adds writable folders in memory to a read-only container; Docker does not, so here neither.
        strict = folder / "podman"
        strict.write_text(STRICT_PODMAN)
        strict.chmod(0o755)
        self.compose_words = (str(tool / "podman-compose"), "--podman-path", str(strict), "--in-pod=false")
        settings = folder / "containers.conf"
        settings.write_text(_containers_conf())
        self.environment["CONTAINERS_CONF"] = str(settings)
        if not Path("/run/systemd/system").exists():
            # podman leaves its health checks to timers of systemd, and fails where it cannot make them.
            self.environment["DISABLE_HC_SYSTEMD"] = "true"
            self.probes = True

    def __call__(self, *words: str, seconds: float = SECONDS) -> str:
        """Run a command of the engine."""
        return run((*self.words, *words), self.environment, seconds=seconds, log=self.log)

    def has_image(self, name: str) -> bool:
        """Whether the image is on this machine."""
        try:
            self("image", "inspect", name)
        except ComposeError:
            return False
        return True

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        return json.loads(self("inspect", "--type", "container", container))[0]

    def health(self, container: str) -> str:
        """`starting`, `healthy` or `unhealthy`; empty for a container without a check."""
        state = self.inspect(container)["State"]
        return str((state.get("Health") or state.get("Healthcheck") or {}).get("Status") or "")

    def image_megabytes(self, name: str) -> float:
        """The size of an image with all that it stands on."""
        return json.loads(self("image", "inspect", name))[0]["Size"] / 1e6


def _containers_conf() -> str:
    """podman asks for higher limits than it was given, which fails where they may not be raised: ask for the same."""
    files = _limit(resource.RLIMIT_NOFILE, 1_048_576)
    processes = _limit(resource.RLIMIT_NPROC, 32_768)  # podman lowers its own to this
    lines = ["[containers]", f'default_ulimits = ["nofile={files}:{files}","nproc={processes}:{processes}"]']
    if shutil.which("runc"):
        # crun refuses a machine that has both versions of control groups.
        lines += ["[engine]", 'runtime = "runc"']
    return "\n".join(lines) + "\n"


def _limit(which: int, most: int) -> int:
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)


class Probe:
    """Runs a container's health check at its interval, as an engine would that has timers."""

    def __init__(self, engine: Engine, container: str, interval: float) -> None:
        self._command = (*engine.words, "healthcheck", "run", container)
        self._environment = engine.environment
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Run no more checks."""
        self._over.set()
        self._thread.join(SECONDS)

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            # Refused while the container does not run, and a check that fails is a status like another.
            subprocess.run(self._command, env=self._environment, capture_output=True, timeout=SECONDS, check=False)


def until(condition: Any, what: str, seconds: float = SECONDS) -> None:
    """Wait for a condition, with a bound."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ComposeError(f"not after {seconds:.0f} s: {what}")
        time.sleep(0.2)
