"""A folder keeps the artifacts: that of the home, or one that several hosts have mounted."""

import contextlib
import errno
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
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
    digest_of,
    leads_out,
    never,
)
from services.errors import GoneError

FULL = (errno.ENOSPC, errno.EDQUOT)


class FolderArtifacts:
    """See `services.artifacts.interface.Artifacts`. Children write into the store itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cohorts = root / COHORTS

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.root)

    def problem(self) -> str | None:
        """See the interface."""
        try:
            self._cohorts.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._cohorts):
                return None
        except OSError as error:
            if error.errno in FULL:  # training goes on without checkpoints
                return None
            return f"the artifacts folder {self._cohorts} cannot be written: {error.strerror or error}"

    def known_id(self) -> str | None:
        """See the interface."""
        try:
            return checked_id((self.root / STORE_ID).read_bytes(), self.place)
        except FileNotFoundError:
            return None
        except StoreUnreachableError:
            raise
        except OSError as error:
            raise StoreUnreachableError(f"{self.place} cannot be read: {error.strerror or error}") from error

    def identity(self) -> str:
        """See the interface."""
        if (store_id := self.known_id()) is not None:
            return store_id
        draft = self.root / f".{STORE_ID}-{uuid.uuid4().hex}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            draft.write_text(f"{uuid.uuid4().hex}\n", "ascii")
            _take_place(draft, self.root / STORE_ID)
        except OSError as error:
            raise StoreUnreachableError(f"{self.place} cannot be written: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        store_id = self.known_id()
        assert store_id is not None
        return store_id

    def attempt_folder(self, cohort_id: str, attempt: int) -> Path:
        """See the interface."""
        folder = self.root / attempt_name(cohort_id, attempt)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def publish(self, path: Path, give_up: GiveUp = never) -> str:  # noqa: ARG002
        """See the interface: the file lies in the store already."""
        return path.resolve().relative_to(self.root.resolve()).as_posix()

    def fetch(
        self,
        name: str,
        sha256: str,
        cohort_id: str,  # noqa: ARG002
        attempt: int,  # noqa: ARG002
        give_up: GiveUp = never,  # noqa: ARG002
    ) -> tuple[Condition, Path | None]:
        """See the interface: it is read where it is."""
        try:
            with self.open(name) as file:
                intact = digest_of(file) == sha256
        except OSError:
            return "missing", None
        except GoneError:
            return "damaged", None  # no attempt of ours has written such a path
        return ("intact", self.absolute(name)) if intact else ("damaged", None)

    def end_attempt(self, cohort_id: str, attempt: int) -> None:
        """See the interface: nothing lies anywhere else."""

    def absolute(self, name: str) -> Path:
        """Where a file lies.

        Raises:
            GoneError: it leads out of the artifact folder.
        """
        path = (self.root / name).resolve()
        if leads_out(name) or not path.is_relative_to(self.root.resolve()):
            raise GoneError(f"{name!r} does not lie in the artifact folder")
        return path

    def open(self, name: str) -> IO[bytes]:
        """See the interface."""
        return self.absolute(name).open("rb")

    def holds(self, name: str) -> bool:
        """See the interface."""
        return self.absolute(name).is_file()

    def put(self, name: str, source: Path) -> None:
        """See the interface."""
        place = self.absolute(name)
        # What children write is their owner's alone; an uploaded table is read by workers of other users too.
        private = name.startswith(f"{COHORTS}/")
        place.parent.mkdir(mode=0o700 if private else 0o755, parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}-{uuid.uuid4().hex}.tmp")
        try:
            shutil.copyfile(source, draft)
            draft.chmod(0o600 if private else 0o644)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)

    def folders(self, parent: str) -> list[str]:
        """See the interface."""
        folder = self.absolute(parent)
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def remove(self, names: Iterable[str]) -> None:
        """See the interface."""
        for name in names:
            with contextlib.suppress(OSError):
                (path := self.absolute(name)).unlink(missing_ok=True)
                if not name.startswith(f"{COHORTS}/"):  # a child may still write into the folder of its attempt
                    path.parent.rmdir()

    def remove_cohort(self, cohort_id: str) -> None:
        """See the interface."""
        shutil.rmtree(self._cohorts / cohort_id, ignore_errors=True)

    def cohorts(self) -> list[str]:
        """See the interface."""
        return sorted(path.name for path in self._cohorts.glob("coh_*")) if self._cohorts.is_dir() else []

    def age(self, cohort_id: str) -> float:
        """See the interface."""
        try:
            return time.time() - (self._cohorts / cohort_id).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _take_place(draft: Path, place: Path) -> None:
    """Give a file a second name, unless somebody was faster."""
    try:
        os.link(draft, place)
    except FileExistsError:
        pass
    except OSError:  # a file system without links; who reads between the two steps asks again
        with contextlib.suppress(FileExistsError), place.open("xb") as file:
            file.write(draft.read_bytes())
