"""What is in a backup: a ZIP file whose members are named and digested by its `manifest.json`.

manifest.json
database/firstlight.db                          SQLite: the whole file, as one moment saw it
database/<table>.copy                           PostgreSQL: the rows of a table as COPY writes them
artifacts/cohorts/<cohort>/a<n>/epoch-<n>.npz   checkpoints of cohorts that are not final; -batches-<n> inside an epoch
uploads/<id>/manifest.json, table.npz           uploaded tables
"""

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.science.datasets.upload import MANIFEST as UPLOAD_MANIFEST
from services.science.datasets.upload import TABLE, UPLOAD_NAME, UPLOADS

FORMAT = 1
MANIFEST = "manifest.json"
SQLITE_FILE = "database/firstlight.db"
ARTIFACTS = "artifacts"
_NAMES = re.compile(
    rf"{re.escape(SQLITE_FILE)}"
    r"|database/[a-z_]{1,63}\.copy"
    rf"|{ARTIFACTS}/cohorts/coh_[0-9a-f]{{1,40}}/a[0-9]{{1,10}}/epoch-[0-9]{{1,10}}(-batches-[0-9]{{1,19}})?\.npz"
    rf"|{UPLOADS}/{UPLOAD_NAME.strip('^$')}/({re.escape(UPLOAD_MANIFEST)}|{re.escape(TABLE)})",
    re.ASCII,
)


class BackupError(Exception):
    """A backup cannot be made or restored; the message names what is in the way and what to do."""


class Member(BaseModel):
    """A file of the archive: how long it is, and its digest."""

    model_config = ConfigDict(frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Table(BaseModel):
    """The rows of a table: their columns in the order of the file, and how many there are."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[str, ...]
    rows: int = Field(ge=0)


class Manifest(BaseModel):
    """What a backup says of itself.

    Attributes:
        format: of the archive.
        firstlight: the version that wrote it.
        database: the kind of database; a backup is restored into one of its kind.
        revision: of the schema.
        created_at: the moment of the snapshot, by the clock of who wrote it.
        tables: of PostgreSQL, by name; empty for SQLite.
        members: every file but this one, by its name in the archive.
        left_out: checkpoints that rows name and that were not there, or not whole: their cohorts begin earlier.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    firstlight: str
    database: Literal["sqlite", "postgresql"]
    revision: str
    created_at: datetime
    tables: dict[str, Table] = Field(default_factory=dict[str, Table])
    members: dict[str, Member]
    left_out: tuple[str, ...] = ()


def is_member_name(name: str) -> bool:
    """Whether a backup of ours may hold a member of this name; no other is ever written to a disk."""
    return _NAMES.fullmatch(name) is not None


def table_member(table: str) -> str:
    """The member with the rows of a table."""
    return f"database/{table}.copy"
