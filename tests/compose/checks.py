"""Is each container what the compose file says? The kernel is asked, not the engine."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.compose.engine import ComposeError, Engine

UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
BIND_SERVICE = 1 << 10
"""The bit of CAP_NET_BIND_SERVICE in the kernel's masks."""
MADE_BY_ENGINES = ("/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv")
"""What an engine mounts into every container."""


def hardened(engine: Engine, container: str, service: Mapping[str, Any]) -> int:
    """Compare every process of a running container with the file; returns how many there are."""
    main = int(engine.inspect(container)["State"]["Pid"])
    processes = _processes(main)
    user, group = (int(number) for number in service["user"].split(":"))
    bound = BIND_SERVICE if service.get("cap_add") == ["NET_BIND_SERVICE"] else 0
    for process in processes:
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        except FileNotFoundError:
            continue  # a health check that has ended
        who = f"process {process} ({status['Name'].strip()}) of {container}"
        uids, gids = set(map(int, status["Uid"].split())), set(map(int, status["Gid"].split()))
        _equal((uids, gids), ({user}, {group}), f"user and group of {who}")
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            _equal(int(status[kind], 16) & ~bound, 0, f"{kind} of {who}, beyond what the file adds")
        _equal(int(status["CapBnd"], 16), bound, f"CapBnd of {who}")
        _equal(status["NoNewPrivs"].strip(), "1", f"no-new-privileges of {who}")
        _equal(status["Seccomp"].strip(), "2", f"system call filter of {who}")
    _equal(_limit(main, "memory"), _bytes(service["mem_limit"]), f"memory limit of {container}")
    _equal(_limit(main, "pids"), int(service["pids_limit"]), f"process limit of {container}")
    _mounts(main, container, service)
    return len(processes)


def nothing_written(engine: Engine, container: str) -> None:
    """The container's own layer holds nothing but places that something is mounted on."""
    places = {mount["Destination"] for mount in engine.inspect(container)["Mounts"]} | set(MADE_BY_ENGINES)
    places |= {
        "/tmp",
        "/run",
        "/run/secrets",
        "/run/podman-init",
        "/.dockerenv",
        "/sbin/docker-init",
        "/usr/sbin/docker-init",
    }
    host = engine.inspect(container)["HostConfig"]
    places |= set(host.get("Tmpfs") or {})
    above = {str(folder) for place in places for folder in Path(place).parents}
    written = []
    for line in engine("diff", container).splitlines():
        kind, _, path = line.partition(" ")
        # "C /": a folder changed, for something was mounted in it.
        if (
            path in places
            or (path in above and kind == "C")
            or any(path.startswith(f"{place}/") for place in ("/dev",))
        ):
            continue
        written.append(line)
    if written:
        raise ComposeError(f"{container} wrote outside its volumes: {written[:20]}")


def secret_nowhere(engine: Engine, container: str, secrets: Iterable[str]) -> None:
    """No password among what the engine shows or a process has in its arguments and environment."""
    seen = str(engine.inspect(container))
    for process in _processes(int(engine.inspect(container)["State"]["Pid"])):
        for name in ("cmdline", "environ"):
            try:
                seen += Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "replace")
            except FileNotFoundError:
                continue
    if any(secret in seen for secret in secrets):
        raise ComposeError(f"a secret of {container} can be read from outside")


def _mounts(main: int, container: str, service: Mapping[str, Any]) -> None:
    volumes = {text.split(":")[1] for text in service.get("volumes", ())}
    memory = {text.split(":")[0] for text in service.get("tmpfs", ())}
    writable = set()
    root = ""
    for line in Path(f"/proc/{main}/mountinfo").read_text().splitlines():
        fields = line.split()
        place, options = fields[4], fields[5].split(",")
        if place == "/":
            root = options[0]
        elif options[0] == "rw" and not place.startswith(("/dev", "/proc", "/sys")):
            writable.add(place)
    _equal(root, "ro", f"root folder of {container}")
    # The engine's own files can be written by root alone, which nobody here is.
    writable -= set(MADE_BY_ENGINES)
    _equal(writable, volumes | memory, f"what can be written in {container}")


def _processes(main: int) -> list[int]:
    return [int(word) for word in (_group(main, "pids") / "cgroup.procs").read_text().split()]


def _limit(main: int, kind: str) -> int:
    name = {"memory": ("memory.max", "memory.limit_in_bytes"), "pids": ("pids.max",)}[kind]
    folder = _group(main, kind)
    return int(next((folder / file).read_text() for file in name if (folder / file).exists()))


def _group(main: int, kind: str) -> Path:
    """The control group of a process, in the first or the second version of them."""
    for line in Path(f"/proc/{main}/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if kind in kinds.split(","):
            return Path(f"/sys/fs/cgroup/{kind}{path}")
        if not kinds and not Path(f"/sys/fs/cgroup/{kind}").exists():
            return Path(f"/sys/fs/cgroup{path}")
    raise ComposeError(f"process {main} is in no group for {kind}")


def _bytes(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def _equal(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise ComposeError(f"{what}: {actual}, and the file says {expected}")
