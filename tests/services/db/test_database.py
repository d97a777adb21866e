"""The database object: transactions, callbacks, the clock, and writers that do not trip over each other."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.clock import CLOCK
from services.db.database import Database, database_url
from services.db.tables import CalibrationRow, ExperimentRow
from services.settings import Settings


def put(database: Database, key: str = "k", value: float = 0.0) -> None:
    with database.write() as session:
        session.add(CalibrationRow(key=key, value=value))


def read(database: Database, key: str = "k") -> float | None:
    with database.read() as session:
        row = session.get(CalibrationRow, key)
        return None if row is None else row.value


def test_write_commits_and_then_calls_back(database: Database) -> None:
    seen: list[float | None] = []
    with database.write() as session:
        session.add(CalibrationRow(key="k", value=2.5))
        session.after_commit(lambda: seen.append(read(database)))
        assert seen == []
    assert seen == [2.5]


def test_an_error_rolls_back_and_calls_nothing(database: Database) -> None:
    seen: list[str] = []

    def work() -> None:
        with database.write() as session:
            session.add(CalibrationRow(key="k", value=1.0))
            session.after_commit(lambda: seen.append("called"))
            session.flush()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        work()
    assert read(database) is None
    assert seen == []


def test_a_failing_callback_does_not_fail_the_caller(database: Database) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    with database.write() as session:
        session.add(CalibrationRow(key="k", value=1.0))
        session.after_commit(fail)
        session.after_commit(lambda: seen.append("second"))
    assert read(database) == 1.0
    assert seen == ["second"]


def test_a_read_session_cannot_write(database: Database) -> None:
    with database.read() as session, pytest.raises(DatabaseError):
        session.execute(text("DELETE FROM calibrations"))


def test_a_read_session_sees_one_snapshot(database: Database) -> None:
    put(database)
    with database.read() as session:
        assert session.get_one(CalibrationRow, "k").value == 0.0
        with database.write() as other:
            other.execute(update(CalibrationRow).values(value=1.0))
        session.expire_all()
        assert session.get_one(CalibrationRow, "k").value == 0.0
    assert read(database) == 1.0


def test_concurrent_read_modify_write_loses_nothing(database: Database) -> None:
    put(database)

    def work(_: int) -> None:
        for _ in range(25):
            with database.write() as session:
                row = session.get_one(CalibrationRow, "k", with_for_update=True)
                row.value += 1.0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert read(database) == 200.0


def test_transact_repeats_after_a_transient_error_only(database: Database) -> None:
    put(database)
    calls: list[int] = []

    def locked_once(session: Session) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError("stmt", {}, Exception("database is locked"))
        return "done"

    assert database.transact(locked_once) == "done"
    assert len(calls) == 2
    calls.clear()

    def twice_the_same(session: Session) -> None:
        calls.append(1)
        session.add(CalibrationRow(key="k", value=1.0))
        session.flush()

    with pytest.raises(IntegrityError):
        database.transact(twice_the_same)
    assert len(calls) == 1


def test_a_transaction_that_has_waited_for_long_is_not_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.db.database.TRANSACT_SECONDS", 0.0)
    calls: list[int] = []

    def locked(_session: Session) -> None:
        calls.append(1)
        raise OperationalError("stmt", {}, Exception("database is locked"))

    with pytest.raises(OperationalError):
        database.transact(locked)
    assert len(calls) == 1


def test_the_clock_is_unix_time_and_moves_within_a_transaction(database: Database) -> None:
    before = time.time()
    first = database.now()
    assert before - 5 < first < time.time() + 5
    with database.write() as session:
        one = session.execute(select(CLOCK)).scalar_one()
        time.sleep(0.02)
        two = session.execute(select(CLOCK)).scalar_one()
    assert two - one > 0.01


def test_data_version_moves_with_commits_of_others(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    one, two = Database(settings), Database(settings)
    one.upgrade()
    still = one.data_version()
    assert still == one.data_version()
    put(two)
    assert one.data_version() != still
    moved = one.data_version()
    put(one, "by the same process")
    assert one.data_version() != moved
    one.dispose()
    two.dispose()


def test_data_version_is_none_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=SecretStr(postgres_url)))
    assert database.data_version() is None
    database.dispose()


def test_json_keeps_its_value_and_none_is_null(database: Database) -> None:
    spec = {"a": [1, 2.5, None], "ü": {"nested": True}}
    with database.write() as session:
        session.add(
            ExperimentRow(
                id="exp_1",
                spec=spec,
                spec_version=1,
                spec_digest="d",
                dataset="digits",
                epochs=1,
                trial_count=1,
                error=None,
            )
        )
    with database.read() as session:
        row = session.get_one(ExperimentRow, "exp_1")
        assert row.spec == spec
        assert row.created_at.tzinfo is not None
        assert abs((now() - row.created_at).total_seconds()) < 60
        assert session.scalar(text("SELECT count(*) FROM experiments WHERE error IS NULL")) == 1


@pytest.mark.parametrize(
    ("text_url", "driver"),
    [
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("sqlite:////tmp/x.db", "sqlite+pysqlite"),
    ],
)
def test_urls_name_their_driver(text_url: str, driver: str) -> None:
    assert database_url(text_url).drivername == driver


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d"])
def test_other_databases_are_refused_without_showing_a_password(bad: str) -> None:
    with pytest.raises(ValueError, match="is not usable") as caught:
        database_url(bad)
    assert "secret" not in str(caught.value)


def test_what_is_in_use_at_the_end_is_closed_when_it_is_given_back(database: Database) -> None:
    with database.read() as session:
        late = session.connection().connection.dbapi_connection
        assert late is not None
        database.dispose()
        assert session.scalar(select(1)) == 1, "whoever reads may end"
    with pytest.raises(Exception, match="closed"):
        late.cursor().execute("SELECT 1")
    with database.read() as session:
        again = session.connection().connection.dbapi_connection
    assert again is not None
    again.cursor().execute("SELECT 1").close()
    database.dispose()
