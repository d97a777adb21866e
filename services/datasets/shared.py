"""Uploaded tables in a store that several hosts share; each host keeps copies of those it has used.

    uploads/<id>/table.npz, manifest.json, stored.json

``stored.json`` comes last and goes first: a table with it is whole, in the store as in the folder of a host. A table of
the folder without it was uploaded before there was a store, and is put there when it is next used.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.artifacts.chosen import artifacts_of
from services.artifacts.interface import Artifacts, StoreUnreachableError, digest_of
from services.datasets.folder import UploadFolder
from services.errors import GoneError
from services.science.datasets.upload import MANIFEST, TABLE, UPLOAD_NAME, UPLOADS, is_upload_name
from services.settings import Settings

STORED = "stored.json"
FILES = (TABLE, MANIFEST)


class SharedUploads:
    """The tables of a store, and this host's copies of them. Safe to use from several threads and processes.

    Every method may raise StoreUnreachableError, and OSError where the data folder cannot be written.
    """

    def __init__(self, data_dir: Path, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._copies = UploadFolder(data_dir)
        self._manifests: dict[str, dict[str, Any]] = {}

    def ids(self) -> set[str]:
        """The tables of the store, and those of this host that are to come there."""
        copies = self._copies.ids()
        mine = {table_id for table_id in copies if not self._is_copy(table_id)}
        there = {name for name in self._artifacts.folders(UPLOADS) if re.fullmatch(UPLOAD_NAME, name)}
        return mine | there

    def settle(self, table_id: str) -> bool:
        """Have a table both here and in the store, whichever has it; says whether one does.

        A copy of one that was deleted elsewhere is removed.
        """
        here = self._copies.folder(table_id)
        if not is_upload_name(table_id):
            return False
        digests = self._digests(table_id)
        if digests is None:
            if here.is_dir() and self._is_copy(table_id):
                shutil.rmtree(here, ignore_errors=True)
                self._manifests.pop(table_id, None)
                return False
            if here.is_dir():
                self.share(table_id)
            return here.is_dir()
        if here.is_dir() and not self._is_copy(table_id):
            (here / STORED).write_text(json.dumps(digests), "utf-8")
        if not here.is_dir():
            self._fetch(table_id, digests)
        return True

    def share(self, table_id: str) -> None:
        """Put this host's table into the store."""
        here = self._copies.folder(table_id)
        digests: dict[str, str] = {}
        for name in FILES:
            with suppress(FileNotFoundError), (here / name).open("rb") as file:
                digests[name] = digest_of(file)
        if set(digests) != set(FILES):
            return  # one whose files were removed by hand is not passed on
        with tempfile.TemporaryDirectory(prefix=".stored-", dir=here.parent) as scratch:
            stored = Path(scratch) / STORED
            stored.write_text(json.dumps(digests), "utf-8")
            for name in FILES:
                self._artifacts.put(_name(table_id, name), here / name)
            self._artifacts.put(_name(table_id, STORED), stored)
            stored.chmod(0o644)
            stored.replace(here / STORED)

    def remove(self, table_id: str) -> None:
        """Remove a table from the store; the copies of other hosts go when they are next looked at."""
        self._artifacts.remove([_name(table_id, STORED)])
        if self._digests(table_id) is not None:
            message = f"{table_id} could not be removed from {self._artifacts.place}; try again"
            raise StoreUnreachableError(message)
        self._artifacts.remove([_name(table_id, name) for name in FILES])
        self._manifests.pop(table_id, None)

    def manifest(self, table_id: str) -> dict[str, Any] | None:
        """What the store knows of a table; None when it does not hold it, or not whole."""
        if table_id not in self._manifests:
            digests = self._digests(table_id)
            content = self._read(table_id, MANIFEST) if digests is not None else None
            if content is None or digests is None or hashlib.sha256(content).hexdigest() != digests[MANIFEST]:
                return None
            self._manifests[table_id] = json.loads(content)
        return self._manifests[table_id]

    def tidy(self) -> None:
        """Remove copies of tables that were deleted."""
        copies = [table_id for table_id in self._copies.ids() if self._is_copy(table_id)]
        if not copies:
            return
        there = set(self._artifacts.folders(UPLOADS))  # asked for last: what is copied meanwhile is not looked at
        for table_id in set(copies) - there:
            shutil.rmtree(self._copies.folder(table_id), ignore_errors=True)
            self._manifests.pop(table_id, None)

    def _is_copy(self, table_id: str) -> bool:
        return (self._copies.folder(table_id) / STORED).is_file()

    def _fetch(self, table_id: str, digests: Mapping[str, str]) -> None:
        with self._copies.draft(table_id) as draft:
            if draft is None:
                return
            for name in FILES:
                with self._artifacts.open(_name(table_id, name)) as source, (draft / name).open("w+b") as target:
                    shutil.copyfileobj(source, target)
                    target.seek(0)
                    if digest_of(target) != digests[name]:
                        message = (
                            f"{_name(table_id, name)} of {self._artifacts.place} is not the file that was put there"
                        )
                        raise StoreUnreachableError(message)
            (draft / STORED).write_text(json.dumps(dict(digests)), "utf-8")

    def _digests(self, table_id: str) -> dict[str, str] | None:
        content = self._read(table_id, STORED)
        if content is None:
            return None
        try:
            digests = json.loads(content)
            return {name: str(digests[name]) for name in FILES}
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnreachableError(self._damaged(table_id, STORED)) from error

    def _damaged(self, table_id: str, name: str) -> str:
        return (
            f"{_name(table_id, name)} of {self._artifacts.place} is not the file that was put there: remove "
            f"{UPLOADS}/{table_id} there, and upload the table again"
        )

    def _read(self, table_id: str, name: str) -> bytes | None:
        try:
            with self._artifacts.open(_name(table_id, name)) as file:
                return file.read()
        except (FileNotFoundError, GoneError):
            return None
        except StoreUnreachableError:
            raise
        except OSError as error:
            raise StoreUnreachableError(f"{self._artifacts.place} cannot be read: {error.strerror or error}") from error


def _name(table_id: str, name: str) -> str:
    return f"{UPLOADS}/{table_id}/{name}"


def shared_uploads(settings: Settings) -> SharedUploads | None:
    """The uploads of the store of these settings; None where they are kept in the data folder alone.

    Raises:
        StoreUnusableError: the store can never work.
    """
    return SharedUploads(settings.data_path, artifacts_of(settings)) if settings.shares_uploads else None


def have_upload(dataset: Any, shared: SharedUploads) -> None:
    """Have the table here that a stored spec trains on, where it is one; whoever trains says what is missing.

    Raises:
        StoreUnreachableError: nobody knows whether it is there.
        OSError: it cannot be written here.
    """
    name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
    if isinstance(name, str) and is_upload_name(name):
        shared.settle(name)
