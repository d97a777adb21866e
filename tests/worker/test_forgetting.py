"""Events and remembered answers go when they have been kept for as long as the settings say, a piece at a time."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from services.cohorts import events
from services.db.base import now
from services.db.database import Database
from services.db.tables import EventRow, ExperimentRow, IdempotencyRow
from services.experiments import idempotency
from tests.support.experiments import make_experiment
from tests.support.supervising import settings_of
from worker import maintenance as maintenance_module
from worker.bell import Bell
from worker.devices import Devices
from worker.identity import identity
from worker.maintenance import Maintenance


def aged(database: Database, days: float, count: int = 9) -> str:
    """An experiment with one event more than `count`, all so many days old, and an answer to its key."""
    moment = now() - timedelta(days=days)
    with database.write() as session:
        experiment = make_experiment(session, (1,))
        events.append(session, experiment, [("progress", {"progress": 0.1})] * count)
        session.execute(update(ExperimentRow).where(ExperimentRow.id == experiment).values(created_at=moment))
        session.execute(update(EventRow).where(EventRow.experiment_id == experiment).values(created_at=moment))
        session.add(
            IdempotencyRow(
                key=experiment, request_hash="0" * 64, experiment_id=experiment, response={}, created_at=moment
            )
        )
    return experiment


def left(database: Database, experiment: str) -> list[int]:
    with database.read() as session:
        query = select(EventRow.seq).where(EventRow.experiment_id == experiment).order_by(EventRow.seq)
        return list(session.scalars(query))


def keys(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(IdempotencyRow.key)))


def housekeeper(database: Database, tmp_path: Path, **settings: object) -> Maintenance:
    return Maintenance(
        "w",
        identity(1),
        database,
        settings_of(database, tmp_path, **settings),
        Bell(),
        devices=Devices(settings_of(database, tmp_path)),
        register=lambda _: None,
        draining=lambda: False,
        working=lambda: True,
        held=list,
    )


def test_what_is_old_goes_and_what_is_not_stays(database: Database, tmp_path: Path) -> None:
    old, half, young = (aged(database, days) for days in (31, 10, 1))
    with database.write() as session:  # of a study that goes on, the young events stay
        events.append(session, old, [("progress", {"progress": 0.2})] * 3)
    keeper = housekeeper(database, tmp_path)
    keeper.forget()
    assert left(database, old) == [11, 12, 13]
    assert left(database, half) == left(database, young) == list(range(1, 11))
    assert keys(database) == {young}
    keeper.forget()
    assert left(database, old) == [11, 12, 13]
    housekeeper(database, tmp_path, keep_events_days=5, keep_answers_days=0.5).forget()
    assert left(database, half) == [10]
    assert left(database, young) == list(range(1, 11))
    assert keys(database) == set()


def test_much_goes_in_small_pieces_and_the_worker_beats_between_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_module, "FORGET_ROWS", 7)
    monkeypatch.setattr(maintenance_module, "FORGET_PIECES", 4)
    for _ in range(12):
        aged(database, 100)
    pieces: list[tuple[str, int]] = []
    beats: list[int] = []

    for module in (events, idempotency):
        real = module.forget

        def noted(*arguments: object, real: object = real, name: str = module.__name__, **named: object) -> int:
            gone = real(*arguments, **named)  # type: ignore[operator]
            pieces.append((name.rpartition(".")[2], gone))
            return gone

        monkeypatch.setattr(module, "forget", noted)
    keeper = housekeeper(database, tmp_path, heartbeat_seconds=0.06)
    monkeypatch.setattr(keeper, "_when_due", lambda *_: beats.append(1))
    keeper.forget()
    assert [gone for name, gone in pieces if name == "events"] == [7, 2, 7, 2]
    assert [gone for name, gone in pieces if name == "idempotency"] == [7, 5, 0]
    assert len(beats) == 6
    for _ in range(6):
        keeper.forget()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 12
