"""The compose stack of the test: its settings, secrets and images; started, watched and removed."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.compose import bases
from tests.compose.engine import BUILD_SECONDS, ROOT, ComposeError, Engine, Probe, run, until
from tests.support.compose_file import services

PROJECT = "firstlight-test"
FILES = ("docker-compose.yml", "docker-compose.proxy.yml")
HOSTNAME = "firstlight.test"
OURS = {"api": "firstlight-api:test", "worker": "firstlight-worker:test"}


class Stack:
    """Everything of it lies in `folder`, on free ports, under a project name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.secure_port, plain_port = _free_ports(3)
        self.variables = {
            "FIRSTLIGHT_TAG": "test",
            "FIRSTLIGHT_PORT": str(self.port),
            "FIRSTLIGHT_HOSTNAME": HOSTNAME,
            "FIRSTLIGHT_INTERNAL_CERTIFICATES": "true",
            "FIRSTLIGHT_HTTP_PORT": str(plain_port),
            "FIRSTLIGHT_HTTPS_PORT": str(self.secure_port),
            "SECRETS_DIR": str(folder / "secrets"),
        }
        setting_names = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FIRSTLIGHT_") and name not in setting_names
        }
        self.engine = Engine(folder, environment)
        self.services: dict[str, dict[str, Any]] = {}
        self._probes: dict[str, Probe] = {}

    def prepare(self) -> None:
        """Secrets, base images and `.env`, as the README says; and nothing is left of a run that was cut off."""
        run(("make", "--silent", "secrets", f"SECRETS_DIR={self.folder / 'secrets'}"), self.engine.environment)
        self.variables |= bases.images(self.engine)
        lines = "".join(f"{name}={value}\n" for name, value in self.variables.items())
        (self.folder / ".env").write_text((ROOT / ".env.example").read_text() + lines)
        self.services = services(self.variables, *FILES)
        self.remove()

    def compose(self, *words: str, files: Iterable[str] = FILES[:1], seconds: float = 600) -> None:
        """Run compose on the real files."""
        where = [word for file in files for word in ("--file", str(ROOT / file))]
        command = (
            *self.engine.compose_words,
            *where,
            "--env-file",
            str(self.folder / ".env"),
            "--project-name",
            PROJECT,
        )
        run((*command, *words), self.engine.environment, seconds=seconds, log=self.engine.log)

    def build(self) -> None:
        """Build each image once."""
        options: list[str] = []
        if self.engine.is_podman:
            arguments = " ".join(bases.pip_arguments(self.folder))
            options = [f"--podman-build-args={arguments}"]
        for service in OURS:
            self.compose(*options, "build", service, seconds=BUILD_SECONDS)

    def up(self, *files: str) -> float:
        """Start all that the files name (default: `docker-compose.yml`); returns the seconds until all was healthy."""
        begun = time.monotonic()
        files = files or FILES[:1]
        names = [name for name, stated in services(self.variables, *files).items() if "profiles" not in stated]
        if self.engine.is_podman:
            self._start_in_order(names, files)
        else:
            self.compose("up", "--detach", files=files)
        for name in names:
            if "healthcheck" in self.services[name]:
                until(lambda name=name: self._holds(name, "service_healthy"), f"{name} is healthy")
        return time.monotonic() - begun

    def _start_in_order(self, names: list[str], files: tuple[str, ...]) -> None:
        """What compose does by itself with Docker.

        podman 4.3 knows no `service_healthy`, and starts nothing that needs a container which has done its work.
        """
        waiting = list(names)
        while waiting:
            name = next(name for name in waiting if not set(self.services[name].get("depends_on", ())) & set(waiting))
            waiting.remove(name)
            for needed, stated in self.services[name].get("depends_on", {}).items():
                condition = stated["condition"]
                until(
                    lambda needed=needed, condition=condition: self._holds(needed, condition), f"{needed}: {condition}"
                )
            self.compose("up", "--detach", "--no-deps", name, files=files)
            if self.engine.probes and "healthcheck" in self.services[name] and name not in self._probes:
                interval = float(self.services[name]["healthcheck"]["interval"].removesuffix("s"))
                self._probes[name] = Probe(self.engine, self.container(name), interval)

    def _holds(self, name: str, condition: str) -> bool:
        state = self.engine.inspect(self.container(name))["State"]
        if condition == "service_healthy":
            return self.engine.health(self.container(name)) == "healthy"
        assert condition == "service_completed_successfully"
        if state["Status"] == "exited" and state["ExitCode"] != 0:
            raise ComposeError(f"{name} ended with status {state['ExitCode']}")
        return state["Status"] == "exited"

    def container(self, name: str) -> str:
        """The container of a service."""
        containers = self._made_for(name)
        if len(containers) != 1:
            raise ComposeError(f"{name} has the containers {containers}")
        return containers[0]

    def running(self) -> dict[str, str]:
        """The containers that run, by service."""
        there = {name: self._made_for(name) for name in self.services}
        return {
            name: made[0] for name, made in there.items() if made and self.engine.inspect(made[0])["State"]["Running"]
        }

    def secret(self, name: str) -> str:
        """What a secret's file holds."""
        return (self.folder / "secrets" / name).read_text().strip()

    def show_logs(self) -> None:
        """Print the end of what each container and the engine said."""
        for made in self._containers():
            logs = subprocess.run((*self.engine.words, "logs", "--tail", "30", made), env=self.engine.environment,
                                  capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
            print(f"--- {made}\n{logs.stdout}{logs.stderr}", flush=True)

    def stop(self) -> None:
        """Stop all; each must end in order."""
        self._end_probes()
        running = self.running()
        if self.engine.is_podman:
            for name in reversed(running):  # podman-compose stops all at once: a worker could give nothing back
                self.compose("stop", name, files=FILES)
        else:
            self.compose("stop", files=FILES)
        codes = {name: self.engine.inspect(made)["State"]["ExitCode"] for name, made in running.items()}
        if any(codes.values()):
            raise ComposeError(f"these did not end in order: {codes}")

    def remove(self) -> None:
        """Remove containers, networks and volumes, also those that a container which never ends keeps compose from."""
        self._end_probes()
        if not self.services:
            return
        with suppress(ComposeError):
            self.compose("down", "--volumes", files=FILES)
        for made in self._containers():
            self.engine("rm", "--force", "--volumes", made)
        for kind in ("volume", "network"):
            for name in self._named(kind):
                self.engine(kind, "rm", name)

    def nothing_left(self) -> None:
        """Raise if something of the project is still there."""
        left = [*self._containers(), *self._named("volume"), *self._named("network")]
        if left:
            raise ComposeError(f"left behind: {left}")

    def _named(self, kind: str) -> list[str]:
        names = self.engine(kind, "ls", "--format", "{{.Name}}").split()
        return [name for name in names if name.startswith(PROJECT)]

    def _made_for(self, service: str) -> list[str]:
        return self._containers("--filter", f"label=com.docker.compose.service={service}")

    def _containers(self, *filters: str) -> list[str]:
        label = f"label=com.docker.compose.project={PROJECT}"
        return self.engine("ps", "--all", "--filter", label, *filters, "--format", "{{.Names}}").split()

    def _end_probes(self) -> None:
        while self._probes:
            self._probes.popitem()[1].end()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for made in sockets:
            made.bind(("127.0.0.1", 0))
        return [made.getsockname()[1] for made in sockets]
    finally:
        for made in sockets:
            made.close()
