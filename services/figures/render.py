"""Pictures from Vega-Lite: asked of the drawing process, and kept by the digest of what they show."""

import hashlib
import importlib.metadata
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
import structlog

from services.errors import BusyError, UnavailableError
from services.figures.page import standalone
from services.processes import Group, processor_seconds

Form = Literal["svg", "png", "pdf", "html"]

MOST_BYTES = 200 * 2**20
"""Of the folder of pictures; the ones written longest ago go first."""
PROCESSOR_SECONDS = 60.0
"""For one picture; a drawing process that works longer on it is ended. A busy machine alone ends none."""
CLOCK_SECONDS = 300.0
"""The same for one that does nothing."""
LOOK_SECONDS = 0.5
WAIT_SECONDS = 30.0
"""For the pictures that others asked for before."""
MOST_WAITING = 8
"""Requests that may wait for a picture; each of them holds a thread that something else could be answered on."""
CHUNK = 1 << 16
COMMAND = (sys.executable, "-P", "-m", "services.figures.drawing")

log = structlog.get_logger(__name__)


class Renderer:
    """Draws one picture at a time; made once by the composition root."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._embedding: str | None = None
        self._drawing: Group | None = None
        self._version = importlib.metadata.version("vl-convert-python")

    def tag(self, spec: Mapping[str, Any], form: str) -> str:
        """What tells two pictures apart before they are drawn: digest of spec, form and renderer."""
        content = orjson.dumps([self._version, form, spec], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()

    def render(self, spec: Mapping[str, Any], form: Form, *, keep: bool = False) -> bytes:
        """The picture, from the folder if it is there.

        Args:
            spec: Vega-Lite with its data inside.
            form: svg, png (two pixels per pixel), pdf, or html that works without a network.
            keep: store it for the next reader; for what will not change any more.

        Raises:
            BusyError: too many pictures are being drawn.
            UnavailableError: it could not be drawn in time.
        """
        if form == "html":
            return standalone(spec, self._script())
        tag = self.tag(spec, form)
        return self._kept(f"{tag}.{form}") or self._draw(spec, form, f"{tag}.{form}" if keep else None)

    def close(self) -> None:
        """End the drawing process."""
        with self._lock:
            self._end()

    def _script(self) -> str:
        if self._embedding is None:
            name = f"vega-{self._version}.js"
            self._embedding = (self._kept(name) or self._draw({}, "script", name)).decode()
        return self._embedding

    def _kept(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def _draw(self, spec: Mapping[str, Any], form: str, name: str | None) -> bytes:
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._lock.acquire(timeout=WAIT_SECONDS):
                raise _busy()
            try:
                content = self._asked(orjson.dumps({"form": form, "spec": spec}) + b"\n")
            except (OSError, EOFError) as error:
                self._end()
                log.warning("drawing_failed", form=form, error=repr(error))
                raise UnavailableError("the picture could not be drawn; try again, or ask for json or csv") from error
            finally:
                self._lock.release()
        finally:
            self._places.release()
        if name is not None:
            self._keep(name, content)
        return content

    def _asked(self, request: bytes) -> bytes:
        try:
            return self._ask(request)
        except (BrokenPipeError, EOFError):
            # It may have gone idle just as it was asked.
            self._end()
            return self._ask(request)

    def _ask(self, request: bytes) -> bytes:
        if self._drawing is None or self._drawing.process.poll() is not None:
            self._end()
            self._drawing = _start()
        process = self._drawing.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        process.stdin.flush()
        limit = _Limit(process.pid)
        received = bytearray()
        while b"\n" not in received:
            received += _more(process.stdout.fileno(), limit)
        line, _, rest = received.partition(b"\n")
        head = orjson.loads(line)
        if "error" in head:
            raise OSError(head["error"])
        content = bytearray(rest)
        while len(content) < head["bytes"]:
            content += _more(process.stdout.fileno(), limit)
        return bytes(content)

    def _end(self) -> None:
        if self._drawing is not None:
            self._drawing.end()
            self._drawing = None

    def _keep(self, name: str, content: bytes) -> None:
        """Write it so that a reader sees all of it or nothing, then make room."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
            part.write_bytes(content)
            part.replace(self._folder / name)
            self._make_room()
        except OSError as error:
            log.warning("picture_not_kept", error=repr(error))

    def _make_room(self) -> None:
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.iterdir())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _busy() -> BusyError:
    return BusyError("too many pictures are being drawn; try again later", retry_after=5)


def _start() -> Group:
    # It reads numbers and writes pictures; no setting and no password is any of its business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    return Group(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=environment,
    )


class _Limit:
    """How long one picture may take, in processor time and by the clock."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._since, self._used = time.monotonic(), processor_seconds(pid)

    def check(self) -> None:
        """Raises TimeoutError when it is reached."""
        used, taken = processor_seconds(self._pid) - self._used, time.monotonic() - self._since
        if used >= PROCESSOR_SECONDS or taken >= CLOCK_SECONDS:
            raise TimeoutError(f"no picture within {used:.0f} s of processor time and {taken:.0f} s by the clock")


def _more(descriptor: int, limit: _Limit) -> bytes:
    limit.check()
    while not select.select([descriptor], [], [], LOOK_SECONDS)[0]:
        limit.check()
    piece = os.read(descriptor, CHUNK)
    if not piece:
        raise EOFError("the drawing process ended")
    return piece
