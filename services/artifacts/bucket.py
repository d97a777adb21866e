"""A bucket keeps the artifacts: children write to a folder of this host, and their files are published from there."""

import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from services.artifacts.interface import (
    COHORTS,
    STORE_ID,
    Condition,
    GiveUp,
    StoreUnreachableError,
    attempt_name,
    checked_id,
    cohort_folder,
    digest_of,
    leads_out,
    never,
)
from services.artifacts.objects import Objects
from services.errors import GoneError

PROBE = "probe"
"""Written to see whether the store can be written."""
PROBE_SECONDS = 4.0
"""How long a look at the store may take: the thread that shows that the worker lives waits for it."""
GOOD_SECONDS = 10.0
"""How long a look that found nothing wrong is believed."""
BAD_SECONDS = 0.5
REST_SECONDS = 5.0
"""After a checkpoint could not be published, none is tried for so long: the supervisor waits for each."""
RESUME = "resume"


class BucketArtifacts:
    """See `services.artifacts.interface.Artifacts`.

    Args:
        objects: the bucket.
        scratch: a folder of this host for what is under way.
    """

    def __init__(self, objects: Objects, scratch: Path) -> None:
        self._objects = objects
        self._scratch = scratch
        self._id: str | None = None
        self._writable = False
        self._problem: str | None = None
        self._looked_until = 0.0
        self._known_until = 0.0
        self._unreachable: StoreUnreachableError | None = None
        self._rest_until = 0.0

    @property
    def place(self) -> str:
        """The URL of the bucket."""
        return self._objects.url

    def problem(self) -> str | None:
        """See the interface. The store is asked every ten seconds, and more often while something is wrong."""
        if time.monotonic() >= self._looked_until:
            self._problem = self._look()
            self._looked_until = time.monotonic() + (GOOD_SECONDS if self._problem is None else BAD_SECONDS)
        return self._problem

    def _look(self) -> str | None:
        try:
            (self._scratch / COHORTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return f"the folder {self._scratch} cannot be written: {error.strerror or error}"
        try:
            if not self._writable:
                self._objects.overwrite(PROBE, b"", PROBE_SECONDS)
                self._writable = True
            self._id = self._read_id(PROBE_SECONDS) or self._make_id()
        except StoreUnreachableError as error:
            self._writable = False
            return f"the artifacts cannot be stored: {error}"
        return None

    def _read_id(self, seconds: float) -> str | None:
        content = self._objects.read(STORE_ID, seconds)
        return None if content is None else checked_id(content, self.place)

    def _make_id(self) -> str:
        mine = uuid.uuid4().hex
        if self._objects.put_new(STORE_ID, f"{mine}\n".encode()):
            return mine
        theirs = self._read_id(PROBE_SECONDS)
        if theirs is None:
            raise StoreUnreachableError(f"{self.place}: {STORE_ID} is there and is not")
        return theirs

    def known_id(self) -> str | None:
        """See the interface. Who asks again within ten seconds gets the same answer, or the same error, at once."""
        if time.monotonic() >= self._known_until:
            try:
                self._id, self._unreachable = self._read_id(PROBE_SECONDS / 2), None
            except StoreUnreachableError as error:
                self._unreachable = error
            self._known_until = time.monotonic() + GOOD_SECONDS
        if self._unreachable is not None:
            raise StoreUnreachableError(str(self._unreachable))
        return self._id

    def identity(self) -> str:
        """See the interface."""
        self._id = self._id or self._read_id(PROBE_SECONDS) or self._make_id()
        return self._id

    def attempt_folder(self, cohort_id: str, attempt: int) -> Path:
        """See the interface."""
        folder = self._scratch / attempt_name(cohort_id, attempt)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def publish(self, path: Path, give_up: GiveUp = never) -> str:
        """See the interface. Soon after one that failed, the next is not even tried."""
        name = path.resolve().relative_to(self._scratch.resolve()).as_posix()
        try:
            if time.monotonic() < self._rest_until:
                raise StoreUnreachableError(f"{self.place} did not take the last checkpoint, a moment ago")
            try:
                self._objects.put(name, path, give_up)
            except StoreUnreachableError:
                self._rest_until = time.monotonic() + REST_SECONDS
                raise
        finally:
            path.unlink(missing_ok=True)  # the child does not read what it has written
        return name

    def fetch(
        self, name: str, sha256: str, cohort_id: str, attempt: int, give_up: GiveUp = never
    ) -> tuple[Condition, Path | None]:
        """See the interface. The copy is this attempt's own: nobody else removes it."""
        if leads_out(name):
            return "damaged", None
        target = self.attempt_folder(cohort_id, attempt) / RESUME / Path(name).name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with target.open("w+b") as file:
            here = self._objects.fetch(name, file, give_up)
            file.seek(0)
            intact = here and digest_of(file) == sha256
        if intact:
            return "intact", target
        target.unlink(missing_ok=True)
        return ("damaged" if here else "missing"), None

    def end_attempt(self, cohort_id: str, attempt: int) -> None:
        """See the interface."""
        folder = self._scratch / attempt_name(cohort_id, attempt)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another attempt's files may be in it
            folder.parent.rmdir()

    def open(self, name: str) -> IO[bytes]:
        """See the interface: it is fetched into a file without a name."""
        if leads_out(name):
            raise GoneError(f"{name!r} does not lie in {self.place}")
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        file: IO[bytes] = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - the caller closes it
        try:
            if not self._objects.fetch(name, file):
                raise FileNotFoundError(f"{name} is not in {self.place}")
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def holds(self, name: str) -> bool:
        """See the interface."""
        if leads_out(name):
            raise GoneError(f"{name!r} does not lie in {self.place}")
        return self._objects.holds(name)

    def put(self, name: str, source: Path) -> None:
        """See the interface."""
        if leads_out(name):
            raise GoneError(f"{name!r} does not lie in {self.place}")
        self._objects.put(name, source)

    def folders(self, parent: str) -> list[str]:
        """See the interface."""
        return self._objects.folders(parent)

    def remove(self, names: Iterable[str]) -> None:
        """See the interface."""
        inside = [name for name in names if not leads_out(name)]
        with contextlib.suppress(StoreUnreachableError):  # what is left is removed with its cohort
            self._objects.delete(inside)

    def remove_cohort(self, cohort_id: str) -> None:
        """See the interface."""
        with contextlib.suppress(StoreUnreachableError):  # the housekeeping finds it again
            self._objects.delete(list(self._objects.names(cohort_folder(cohort_id))))
        shutil.rmtree(self._scratch / cohort_folder(cohort_id), ignore_errors=True)

    def cohorts(self) -> list[str]:
        """See the interface."""
        here = {path.name for path in (self._scratch / COHORTS).glob("coh_*")}
        there = {name for name in self._objects.folders(COHORTS) if name.startswith("coh_")}
        return sorted(here | there)

    def age(self, cohort_id: str) -> float:
        """See the interface."""
        times = list(self._objects.names(cohort_folder(cohort_id)).values())
        with contextlib.suppress(FileNotFoundError):
            folder = self._scratch / cohort_folder(cohort_id)
            times.append(datetime.fromtimestamp(folder.stat().st_mtime, UTC))
        return (datetime.now(UTC) - max(times)).total_seconds() if times else 0.0
