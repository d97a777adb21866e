"""`python -m migrations`: bring the database of the settings up to date. Safe to run twice, and twice at once."""

import sys

from services.db import schema
from services.db.database import Database
from services.db.unusable import UnusableDatabaseError
from services.settings import get_settings


def main() -> int:
    """Upgrade and say where the schema stands."""
    database = Database(get_settings(), application="firstlight-migrate")
    try:
        try:
            database.upgrade()
        except UnusableDatabaseError as error:
            sys.exit(str(error))
        with database.read_engine.connect() as connection:
            sys.stdout.write(f"schema at {schema.current(connection)}\n")
    finally:
        database.dispose()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
