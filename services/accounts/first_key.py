"""The first key of a service that is opened beyond its machine: made once, left in a file that only its owner reads."""

import os
from pathlib import Path

from services.accounts.keys import any_key, create_key
from services.accounts.principal import OWNER
from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE

FILE = "api_key"


def make_first_key(database: Database, home: Path) -> Path | None:
    """Make an admin key of the default workspace; returns the file that holds it, or None where there are keys already.

    The file is there before the key opens anything: a stop in between leaves a key that is none, and the next start
    makes another.
    """
    with database.write() as session:
        if any_key(session):
            return None
        _, key = create_key(session, OWNER, "made at the first start", "admin", DEFAULT_WORKSPACE)
        path = home / FILE
        draft = home / f".{FILE}.draft"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return path
