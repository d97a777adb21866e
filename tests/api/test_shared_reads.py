"""Streams that stand at the same place read once."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from api import shared_reads
from api.shared_reads import Batch, SharedReads
from services.db.database import Database
from services.db.isolation import WorkspaceDatabase
from services.experiments.timeline import Entry, News

EXPERIMENT = "exp_1"


@pytest.fixture
def workspace(database: Database) -> WorkspaceDatabase:
    return WorkspaceDatabase(database, "default")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every read of the database: experiment and the event after which."""
    done: list[tuple[str, int]] = []

    def news(session: Any, experiment_id: str, after: int, limit: int) -> News:
        done.append((experiment_id, after))
        last = after + limit
        return News([Entry(last, "epoch", {"text": "x" * 1000})], has_more=last < 5 * limit, is_over=False)

    monkeypatch.setattr(shared_reads, "news", news)
    return done


def test_a_hundred_streams_at_one_place_read_once(workspace: WorkspaceDatabase, reads: list[tuple[str, int]]) -> None:
    async def ask() -> list[Batch]:
        shared = SharedReads()
        return await asyncio.gather(*(shared.after(workspace, EXPERIMENT, 800) for _ in range(100)))

    batches = asyncio.run(ask())
    assert reads == [(EXPERIMENT, 800)]
    assert {batch.last for batch in batches} == {1000}


def test_what_is_full_is_kept_and_the_newest_is_read_again(
    workspace: WorkspaceDatabase, reads: list[tuple[str, int]]
) -> None:
    async def ask() -> None:
        shared = SharedReads()
        for _ in range(3):
            last = 0
            while (batch := await shared.after(workspace, EXPERIMENT, last)).has_more:
                last = batch.last

    asyncio.run(ask())
    assert [after for _, after in reads] == [0, 200, 400, 600, 800, 800, 800]


def test_what_is_kept_is_bounded(workspace: WorkspaceDatabase, reads: list[tuple[str, int]]) -> None:
    async def ask() -> None:
        shared = SharedReads(most_bytes=2_500)
        for last in (0, 200, 400, 400, 200, 0):
            await shared.after(workspace, EXPERIMENT, last)

    asyncio.run(ask())
    assert [after for _, after in reads] == [0, 200, 400, 0]


def test_workspaces_share_nothing(workspace: WorkspaceDatabase, reads: list[tuple[str, int]]) -> None:
    async def ask() -> None:
        shared = SharedReads()
        await asyncio.gather(
            shared.after(workspace, EXPERIMENT, 0), shared.after(workspace.within("another"), EXPERIMENT, 0)
        )

    asyncio.run(ask())
    assert len(reads) == 2


def test_a_stream_that_ends_takes_no_read_along(workspace: WorkspaceDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def news(session: Any, experiment_id: str, after: int, limit: int) -> News:
        begun.set()
        may_end.wait(60)
        return News([], has_more=False, is_over=True)

    monkeypatch.setattr(shared_reads, "news", news)

    async def ask() -> Batch:
        shared = SharedReads()
        leaving, staying = (asyncio.create_task(shared.after(workspace, EXPERIMENT, 0)) for _ in range(2))
        await asyncio.to_thread(begun.wait, 60)
        leaving.cancel()
        await asyncio.wait([leaving])
        may_end.set()
        return await staying

    assert asyncio.run(ask()).is_over


def test_a_read_that_fails_is_tried_anew(workspace: WorkspaceDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Callable[[], News]] = [_fail, lambda: News([], has_more=False, is_over=True)]
    monkeypatch.setattr(shared_reads, "news", lambda *_: answers.pop(0)())

    async def ask() -> Batch:
        shared = SharedReads()
        with pytest.raises(ConnectionError):
            await shared.after(workspace, EXPERIMENT, 0)
        return await shared.after(workspace, EXPERIMENT, 0)

    assert asyncio.run(ask()).is_over


def _fail() -> News:
    raise ConnectionError
