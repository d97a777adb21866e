"""A start looks at its database first: what is damaged or not complete is refused, with the file and the way out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text

from services.db import file_check, schema
from services.db.database import Database
from services.db.file_check import check
from services.db.tables import ExperimentRow
from services.db.unusable import UnusableDatabaseError
from services.settings import Settings
from tests.support.experiments import make_experiment
from tests.support.workers import PATIENCE


@pytest.fixture
def file(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """The database of a home, with some rows."""
    path = tmp_path / "home" / "firstlight.db"
    path.parent.mkdir()
    shutil.copyfile(migrated_sqlite, path)
    database = Database(Settings(home=path.parent))
    with database.write() as session:
        make_experiment(session, (1500,))
    database.dispose()
    return path


def damage(path: Path) -> None:
    """Make the middle of the file unreadable."""
    content = bytearray(path.read_bytes())
    content[16_384:-16_384] = b"\xa5" * (len(content) - 32_768)
    path.write_bytes(content)


def start(module: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    line = [sys.executable, "-P", "-m", module, *arguments]
    environment = {**clean, "FIRSTLIGHT_HOME": str(home)}
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_what_is_whole_is_fine(file: Path, tmp_path: Path) -> None:
    checked = check(file)
    assert checked.whole
    assert checked.size == file.stat().st_size
    assert check(tmp_path / "none.db").whole
    (tmp_path / "new.db").touch()
    assert check(tmp_path / "new.db").whole


@pytest.mark.parametrize("module", ["migrations", "api", "worker"])
def test_no_process_starts_on_a_damaged_file(file: Path, module: str) -> None:
    damage(file)
    before = file.read_bytes()
    done = start(module, file.parent, *(["--port", "0"] if module == "api" else []))
    assert done.returncode == 1
    assert f"{file} is damaged (" in done.stderr
    assert "firstlight restore FILE --replace" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "firstlight.db"
    path.write_text("a letter " * 1000)
    with pytest.raises(UnusableDatabaseError, match=r"firstlight\.db is no SQLite database: restore a backup"):
        Database(Settings(home=tmp_path)).upgrade()


def test_a_copy_without_its_log_is_not_taken_for_an_empty_database(tmp_path: Path) -> None:
    """As `cp firstlight.db elsewhere` makes it while a young service runs: all of its rows are in the log."""
    home, other = tmp_path / "home", tmp_path / "other"
    other.mkdir()
    database, copy = Database(Settings(home=home)), Database(Settings(home=other))
    with database.read_engine.connect() as reader:
        reader.exec_driver_sql("SELECT 1 FROM sqlite_master")  # while somebody has it open, the log is not written back
        database.upgrade()
        with database.write() as session:
            make_experiment(session, (2,))
        shutil.copyfile(home / "firstlight.db", other / "firstlight.db")
        with pytest.raises(UnusableDatabaseError, match=r"its content is in firstlight\.db-wal, which was not copied"):
            copy.upgrade()
        shutil.copyfile(home / "firstlight.db-wal", other / "firstlight.db-wal")
        copy.upgrade()
    with copy.read() as session:
        assert len(session.scalars(select(ExperimentRow.id)).all()) == 1
    database.dispose()
    copy.dispose()


def test_a_log_without_its_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "firstlight.db-wal").write_bytes(b"rows")
    with pytest.raises(UnusableDatabaseError, match=r"firstlight\.db is missing or empty, but firstlight\.db-wal is"):
        Database(Settings(home=tmp_path)).upgrade()
    assert (tmp_path / "firstlight.db-wal").read_bytes() == b"rows"


def test_a_start_that_was_killed_right_at_its_beginning_is_no_copy(tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path))
    with database.read_engine.connect() as reader:
        reader.exec_driver_sql("SELECT 1 FROM sqlite_master")  # a log beside the file, and no table in it
        other = Database(Settings(home=tmp_path))
        other.upgrade()
        other.dispose()
    database.dispose()


def test_a_large_file_is_looked_at_for_no_longer_than_given(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_check, "STEPS", 10)
    checked = check(file, seconds=0.0)
    assert not checked.whole


def test_a_file_in_use_is_checked_beside_its_users(file: Path) -> None:
    database = Database(Settings(home=file.parent))
    with database.write() as session:
        make_experiment(session, (1,))
        assert check(file).whole
    with database.read() as session:
        assert len(session.scalars(select(ExperimentRow.id)).all()) == 2
    database.dispose()


@pytest.mark.parametrize("module", ["migrations", "api", "worker"])
def test_a_newer_schema_stops_an_embedded_start_in_words_of_our_own(file: Path, module: str) -> None:
    database = Database(Settings(home=file.parent))
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.dispose()
    done = start(module, file.parent, *(["--port", "0"] if module == "api" else []))
    assert done.returncode == 1
    assert f"stands at schema 9999, and this version knows schemas up to {schema.latest()}" in done.stderr
    assert "restore a backup from before the upgrade" in done.stderr
    assert "Traceback" not in done.stderr
