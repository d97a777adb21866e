"""What a store of artifacts can do, whether it is a folder or a bucket."""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Protocol

CHUNK = 1 << 20
COHORTS = "cohorts"
STORE_ID = "store-id"
"""The name of the few bytes by which a store is known, whatever each host calls its place."""
Condition = Literal["intact", "damaged", "missing"]
GiveUp = Callable[[], bool]
"""Asked now and then during what may take long: whether nobody waits for it any more."""


class StoreUnreachableError(OSError):
    """The store does not answer, or not to these credentials: nothing is known of what is in it. Holds no secret."""


class StoreUnusableError(Exception):
    """No store can be made of the settings, for want of a package, say. Holds no secret."""


def never() -> bool:
    """For who waits until it is done."""
    return False


class Artifacts(Protocol):
    """A store. Its names are relative paths with slashes; none leads out of it.

    Every method but `problem`, `remove` and `remove_cohort` may raise StoreUnreachableError.
    """

    @property
    def place(self) -> str:
        """Where it is, for people to read: a folder or a URL, without credentials."""
        ...

    def problem(self) -> str | None:
        """Why no checkpoint can be stored here, naming the place; None when it can, or when only room is wanting."""
        ...

    def known_id(self) -> str | None:
        """By what the store is known: 32 hexadecimal digits; None when nobody has made it up yet."""
        ...

    def identity(self) -> str:
        """The same; it is made up, once for all, where there is none."""
        ...

    def attempt_folder(self, cohort_id: str, attempt: int) -> Path:
        """The folder on this host that an attempt writes its checkpoints into, made here."""
        ...

    def publish(self, path: Path, give_up: GiveUp = never) -> str:
        """Have a file of an attempt's folder in the store, whole; returns its name. The local copy is of no use after.

        Raises:
            ValueError: it does not lie in the folder of an attempt.
            OSError: it is not in the store.
        """
        ...

    def fetch(
        self, name: str, sha256: str, cohort_id: str, attempt: int, give_up: GiveUp = never
    ) -> tuple[Condition, Path | None]:
        """Have a file here, for this attempt to read; says whether it is the one that was recorded, and where it lies.

        One that is missing may be whole in another store. The path is None unless the file is intact.
        """
        ...

    def end_attempt(self, cohort_id: str, attempt: int) -> None:
        """Remove what lies on this host for the attempt's sake only."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read; it stays readable when it is removed meanwhile.

        Raises:
            OSError: it is not there.
            GoneError: the name leads out of the store.
        """
        ...

    def holds(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            GoneError: the name leads out of the store.
        """
        ...

    def put(self, name: str, source: Path) -> None:
        """Store a copy of a file under a name, whole or not at all; what had the name is replaced.

        Raises:
            OSError: it cannot be stored.
            GoneError: the name leads out of the store.
        """
        ...

    def folders(self, parent: str) -> list[str]:
        """The first parts of all names below ``parent/``, in order."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Delete files that nothing names any more; those that are gone, or cannot be deleted now, are no matter."""
        ...

    def remove_cohort(self, cohort_id: str) -> None:
        """Delete everything a cohort has written, here and in the store, as far as that can be done now."""
        ...

    def cohorts(self) -> list[str]:
        """The cohorts that have files, here or in the store."""
        ...

    def age(self, cohort_id: str) -> float:
        """Seconds since the cohort last began to write; 0 where that is not known. For tidying up only."""
        ...


def cohort_folder(cohort_id: str) -> str:
    """The folder of a cohort's files as it begins their names in the database."""
    return f"{COHORTS}/{cohort_id}"


def attempt_name(cohort_id: str, attempt: int) -> str:
    """The folder of an attempt's files, likewise."""
    return f"{cohort_folder(cohort_id)}/a{attempt}"


def leads_out(name: str) -> bool:
    """Whether a name is not one of a file inside a store."""
    return not name or name.startswith("/") or "\\" in name or not set(PurePosixPath(name).parts).isdisjoint({".."})


def checked_id(content: bytes, place: str) -> str:
    """The id of a store from what was read.

    Raises:
        StoreUnreachableError: it is none.
    """
    text = content.decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        message = f"{STORE_ID} of {place} does not hold 32 hexadecimal digits: remove it, and a new one is made"
        raise StoreUnreachableError(message)
    return text


def digest_of(file: IO[bytes]) -> str:
    """The SHA-256 of the rest of a file."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
