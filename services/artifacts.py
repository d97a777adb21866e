"""The artifact folder: checkpoint files, one folder for each attempt. The database names files by relative paths.

    <home>/artifacts/cohorts/<cohort id>/a<attempt>/epoch-<n>.npz, or epoch-<n>-batches-<n>.npz from inside the next

An attempt writes only into its own folder, so that a zombie cannot touch what its heir has written.
"""

import contextlib
import errno
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Literal

from services.errors import GoneError

CHUNK = 1 << 20
COHORTS = "cohorts"
Condition = Literal["intact", "damaged", "missing"]
FULL = (errno.ENOSPC, errno.EDQUOT)


def cohort_folder(cohort_id: str) -> str:
    """The folder of a cohort's files as it begins their paths in the database."""
    return f"{COHORTS}/{cohort_id}"


class Artifacts:
    """The files of one home folder."""

    def __init__(self, home: Path) -> None:
        self.root = home / "artifacts"
        self._cohorts = self.root / COHORTS

    def attempt_folder(self, cohort_id: str, attempt: int) -> Path:
        """The folder an attempt writes its checkpoints into, made here."""
        folder = self._cohorts / cohort_id / f"a{attempt}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def problem(self) -> str | None:
        """Why no checkpoint can be written here, naming the folder; None when it can, or when only room is wanting."""
        try:
            self._cohorts.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._cohorts):
                return None
        except OSError as error:
            if error.errno in FULL:  # training goes on without checkpoints
                return None
            return f"the artifacts folder {self._cohorts} cannot be written: {error.strerror or error}"

    def relative(self, path: Path) -> str:
        """The path as the database stores it.

        Raises:
            ValueError: it lies outside the artifact folder.
        """
        return path.resolve().relative_to(self.root.resolve()).as_posix()

    def absolute(self, relative: str) -> Path:
        """Where a stored path lies.

        Raises:
            GoneError: it leads out of the artifact folder.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise GoneError(f"{relative!r} does not lie in the artifact folder")
        return path

    def condition(self, relative: str, sha256: str) -> Condition:
        """Whether the file is the one that was recorded.

        One that cannot be opened is missing *here*: on another host, with another home folder, it may be whole.
        """
        digest = hashlib.sha256()
        try:
            with self.absolute(relative).open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        except OSError:
            return "missing"
        except GoneError:
            return "damaged"  # no attempt of ours has written such a path
        return "intact" if digest.hexdigest() == sha256 else "damaged"

    def open(self, relative: str) -> IO[bytes]:
        """The file, to be read; it stays readable when it is removed meanwhile.

        Raises:
            OSError: it is not here.
            GoneError: the path leads out of the artifact folder.
        """
        return self.absolute(relative).open("rb")

    def remove(self, relatives: Iterable[str]) -> None:
        """Delete files that no row names any more; those that are gone, or cannot be deleted now, are no matter."""
        for relative in relatives:
            with contextlib.suppress(OSError):
                self.absolute(relative).unlink(missing_ok=True)

    def remove_cohort(self, cohort_id: str) -> None:
        """Delete everything a cohort has written."""
        shutil.rmtree(self._cohorts / cohort_id, ignore_errors=True)

    def age(self, cohort_id: str) -> float:
        """Seconds since an attempt of the cohort last made its folder; for tidying up only."""
        try:
            return time.time() - (self._cohorts / cohort_id).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def cohorts(self) -> list[str]:
        """The cohorts that have a folder."""
        return sorted(path.name for path in self._cohorts.glob("coh_*")) if self._cohorts.is_dir() else []
