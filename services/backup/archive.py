"""The archive file: written whole or not at all, and never read further than its manifest allows."""

import errno
import fcntl
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import ValidationError

from services.backup.manifest import FORMAT, MANIFEST, BackupError, Manifest, Member, is_member_name

CHUNK = 1 << 20
LEVEL = 1
"""Of compression: rows shrink about as much as with higher ones, in a third of the time."""
MOST_MANIFEST_BYTES = 256 << 20
UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)
"""What a damaged ZIP file is refused with: by its format, a version or method that nobody has, text that is none."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class ArchiveWriter:
    """Writes an archive beside its final name, and gives it that name when all is on the disk.

    Use as a context manager: what is not finished is removed. What a killed process has left is written over by the
    next backup of the same name.

    Raises:
        BackupError: the name is taken, or another process is writing to it.
    """

    def __init__(self, path: Path) -> None:
        self.members: dict[str, Member] = {}
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        if path.exists():
            raise BackupError(f"{path} is there already: give another name, nothing is written over")
        self._file: IO[bytes] = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise BackupError(f"another process is writing {path} now") from None
        self._file.truncate()
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._part.unlink(missing_ok=True)
        with suppress(OSError, ValueError):  # of an archive that is given up
            self._zip.close()
        with suppress(OSError):
            self._file.close()

    @contextmanager
    def member(self, name: str, *, compressed: bool = True) -> Generator[Callable[[bytes | memoryview], object]]:
        """Write one member, piece by piece, through the function this gives."""
        if not is_member_name(name) or name in self.members:
            message = f"no member of a backup is named {name!r}, or it is there already"
            raise ValueError(message)
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        digest, size = hashlib.sha256(), 0
        with self._zip.open(entry, "w", force_zip64=True) as out:

            def write(piece: bytes | memoryview) -> None:
                nonlocal size
                digest.update(piece)
                size += len(piece)
                out.write(piece)

            yield write
        self.members[name] = Member(bytes=size, sha256=digest.hexdigest())

    def copy(self, name: str, file: IO[bytes], *, compressed: bool = True) -> Member:
        """Write a member from an open file, to its end."""
        with self.member(name, compressed=compressed) as write:
            while piece := file.read(CHUNK):
                write(piece)
        return self.members[name]

    def finish(self, manifest: Manifest) -> int:
        """Add the manifest, wait for the disk, and give the archive its name; returns its size in bytes.

        Raises:
            BackupError: somebody was faster and took the name.
        """
        self._zip.writestr(MANIFEST, manifest.model_dump_json(indent=1))
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        try:
            os.link(self._part, self._path)  # unlike a rename it never replaces what is there
        except FileExistsError:
            raise BackupError(f"{self._path} is there by now: give another name, nothing is written over") from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._part.rename(self._path)
        sync_folder(self._path.parent)
        return self._path.stat().st_size


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in this folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Archive:
    """An archive that is read. Use as a context manager.

    Raises:
        BackupError: it cannot be read, is no backup, or holds what no backup of ours holds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror or error}") from error
        except UNREADABLE as error:
            raise BackupError(f"{path} is no backup, or was cut off: {error}") from error
        try:
            self.manifest = self._read_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _read_manifest(self) -> Manifest:
        names = self._zip.namelist()
        if MANIFEST not in names or self._zip.getinfo(MANIFEST).file_size > MOST_MANIFEST_BYTES:
            raise BackupError(f"{self._path} is no backup: it has no {MANIFEST}")
        try:
            text = self._zip.read(MANIFEST)
        except UNREADABLE as error:
            raise BackupError(f"{self._path} is damaged in {MANIFEST}: {error}") from error
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise BackupError(f"{self._path} has a {MANIFEST} of another kind: {place}: {problem['msg']}") from None
        if manifest.format != FORMAT:
            raise BackupError(
                f"{self._path} has format {manifest.format} and this version reads {FORMAT}: "
                f"it was written by Firstlight {manifest.firstlight}, take that version or a newer one"
            )
        expected = sorted([*manifest.members, MANIFEST])
        if sorted(names) != expected or not all(map(is_member_name, manifest.members)):
            odd = sorted({*names} ^ {*expected} | {name for name in manifest.members if not is_member_name(name)})
            raise BackupError(f"{self._path} does not hold what its manifest says, see {odd[:3] or 'doubled names'}")
        return manifest

    def pieces(self, name: str) -> Generator[bytes]:
        """The content of a member; its end is reached only if it is what the manifest says.

        Raises:
            BackupError: naming the member that is damaged.
        """
        member = self.manifest.members[name]
        digest, left = hashlib.sha256(), member.bytes
        try:
            with self._zip.open(name) as file:
                while piece := file.read(min(CHUNK, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        break
                    digest.update(piece)
                    yield piece
        except UNREADABLE as error:
            raise self._damaged(name, str(error)) from error
        if left or digest.hexdigest() != member.sha256:
            raise self._damaged(name, "its SHA-256 is not the recorded one")

    def _damaged(self, name: str, why: str) -> BackupError:
        return BackupError(f"{self._path} is damaged in {name}: {why}; take another backup, nothing was changed")

    def verify(self) -> None:
        """Read all of it once.

        Raises:
            BackupError: naming the first member that is damaged.
        """
        for name in self.manifest.members:
            for _ in self.pieces(name):
                pass

    def extract(self, name: str, path: Path) -> None:
        """Write a member to `path`, which the caller has made up; it is on the disk afterwards."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            write_all(out, self.pieces(name))


def write_all(out: IO[bytes], pieces: Iterable[bytes]) -> None:
    """Write the pieces and wait for the disk."""
    for piece in pieces:
        out.write(piece)
    out.flush()
    os.fsync(out.fileno())
