"""A worker's sign of life as a file, for a health check that costs milliseconds: the standard library alone.

The file is written when the database has taken the worker's heartbeat and every slot's thread lives, so a fresh one
says all of that. Its time is counted from the start of the machine: a clock that is set changes nothing. Several
workers, and several containers, may share a home folder: each has a file of its own, named after the processes that
see each other, and a check asks only for those.
"""

import os
import sys
import time
from pathlib import Path

HOME, HOME_FILE = "FIRSTLIGHT_HOME", "FIRSTLIGHT_HOME_FILE"
FOLDER = "workers"
SUFFIX = ".beat"
ALIVE_SECONDS = 15.0
"""A worker that has beaten within so long is taken to be alive."""
BEATS = 3
"""So many heartbeats may be missed, where that is longer."""
LEFT_SECONDS = 86_400.0
"""A file untouched for so long was left by a worker that was killed."""
LINE = 40
"""Every line has the same length and takes the place of the one before: no room on the disk is needed for it."""


def seen_together() -> str:
    """Names this machine since its start and the set of processes that see each other in it, such as a container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return os.uname().nodename if hasattr(os, "uname") else "here"
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return boot
    return f"{boot}-{space}"


def boottime() -> float:
    """Seconds since the start of the machine, also those that it slept; the same for all its processes."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Heartbeat:
    """The file of one worker.

    Args:
        home: the worker's home folder.
        period: seconds between two beats.
    """

    def __init__(self, home: Path, period: float) -> None:
        self._path = home / FOLDER / f"{seen_together()}-{os.getpid()}{SUFFIX}"
        self._period = period

    def beat(self) -> None:
        """Note that all is well now."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = f"{boottime():.3f} {self._period:g}".ljust(LINE - 1) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
        finally:
            os.close(descriptor)

    def stop(self) -> None:
        """Take the file away: this worker takes no more work."""
        self._path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed workers have left."""
        for path in self._path.parent.glob(f"*{SUFFIX}"):
            try:
                if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue


def silence(home: Path) -> tuple[float, float] | None:
    """For how long the liveliest worker seen here has been silent, and how long it may be; None if there is none."""
    silences: list[tuple[float, float]] = []
    now = boottime()
    for path in (home / FOLDER).glob(f"{seen_together()}-*{SUFFIX}"):
        try:
            beaten, period = map(float, path.read_text("ascii").split())
        except (OSError, ValueError):  # taken away just now, or damaged
            continue
        if beaten < now + 1.0:  # or the machine was started anew
            silences.append((now - beaten, max(ALIVE_SECONDS, BEATS * period)))
    return min(silences, default=None, key=lambda pair: pair[0] - pair[1])


def home_folder() -> Path:
    """The home folder as the settings have it; they are read in full only where the environment does not say it."""
    named = os.environ.get(HOME)
    if HOME_FILE in os.environ or (named is None and Path(".env").exists()):
        from services.settings import get_settings  # noqa: PLC0415 - costs a hundred times what is needed here

        return get_settings().home
    return Path("~/.firstlight" if named is None else named).expanduser()


def check() -> int:
    """Exit status of a health check: 0 when a worker seen here has beaten lately, else 1 and the reason on stderr."""
    home = home_folder()
    liveliest = silence(home)
    if liveliest is None:
        sys.stderr.write(f"no worker of this container or machine keeps {home / FOLDER}: it ended or has not begun\n")
        return 1
    silent, most = liveliest
    if silent > most:
        sys.stderr.write(f"the worker has been silent for {silent:.0f} s, {most:.0f} s are given: see its log\n")
        return 1
    return 0
