"""The event stream: dense, resumable, complete, bounded, and out of the way when the server stops."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.event_hub import Hub
from firstlight.client import Client
from services.cohorts.events import forget
from services.db.database import Database
from tests.support.workers import PATIENCE, eventually

Event = tuple[int, str, dict[str, Any]]


def events(http: httpx.Client, path: str, after: int | None = None) -> Iterator[Event]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line and not line.startswith(":"):
                fields[name] = value
            elif "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


def test_a_late_reader_gets_every_event_once_and_in_order(served_by_both: Any) -> None:
    path = served_by_both.submit()["links"]["events"]
    served_by_both.train()
    stream = list(events(served_by_both.http, path))
    assert [seq for seq, _, _ in stream] == list(range(1, len(stream) + 1))
    assert (stream[0][1], stream[0][2]["state"]) == ("state", "queued")
    assert (stream[-1][1], stream[-1][2]) == ("done", {"state": "succeeded"})
    rows = [row for _, kind, data in stream if kind == "epoch" for row in data["rows"]]
    assert len(rows) == 12 * 4
    assert len({(row["trial_id"], row["epoch"]) for row in rows}) == 12 * 4
    assert {row["label"] for row in rows} >= {"relu · he_uniform"}


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_reader_that_comes_back_misses_nothing(served: Any, after: int) -> None:
    path = served.submit()["links"]["events"]
    served.train()
    whole = list(events(served.http, path))
    assert list(events(served.http, path, after)) == whole[after:]


def test_a_reader_with_everything_is_told_not_to_come_back(served: Any) -> None:
    path = served.submit()["links"]["events"]
    served.train()
    last = len(list(events(served.http, path)))
    assert served.http.get(path, headers={"Last-Event-ID": str(last)}).status_code == 204


def test_events_arrive_while_they_happen(served_by_both: Any) -> None:
    experiment = served_by_both.submit()
    arrived: list[Event] = []
    first = threading.Event()

    def read() -> None:
        for event in events(served_by_both.http, experiment["links"]["events"]):
            arrived.append(event)
            first.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(PATIENCE)
    assert [event[1] for event in arrived] == ["state"]
    served_by_both.train()
    reader.join(timeout=PATIENCE)
    assert not reader.is_alive()
    assert arrived[-1][1] == "done"
    assert [seq for seq, _, _ in arrived] == list(range(1, len(arrived) + 1))


def test_a_diverged_trial_is_null_in_its_rows_and_json_stays_json(served: Any) -> None:
    path = served.submit()["links"]["events"]
    served.train(diverged=0)
    rows = [row for _, kind, data in events(served.http, path) if kind == "epoch" for row in data["rows"]]
    gone = [row for row in rows if row["epoch"] == 2 and row.get("val_loss") is None]
    assert len(gone) == 1


def test_streams_are_bounded_and_their_places_come_back(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path
) -> None:
    with serve(tmp_path, sqlite_url, max_streams=2) as served:
        path = served.submit()["links"]["events"]
        with served.http.stream("GET", path) as one, served.http.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            refused = served.http.get(path)
            assert (refused.status_code, refused.json()["code"]) == (429, "too_busy")
            assert int(refused.headers["retry-after"]) >= 1

        def let_in() -> bool:
            with served.http.stream("GET", path) as again:
                return again.status_code == 200

        eventually(let_in, "a place to be free again")


def test_an_open_stream_does_not_hold_up_the_stop(served: Any) -> None:
    path = served.submit()["links"]["events"]
    with served.http.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry")
        served.stop()  # asserts that the server's thread ends
        assert "event: done" not in list(lines)


def test_the_hub_stops_only_when_its_look_at_the_database_has_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread cannot be cancelled: a connection that it holds would be left open."""
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()
    hub = Hub(database, 1)

    def look(ids: list[str]) -> dict[str, int]:
        begun.set()
        assert go_on.wait(PATIENCE)
        over.set()
        return dict.fromkeys(ids, -1)

    monkeypatch.setattr(hub, "_sequences", look)

    async def follow_and_stop() -> None:
        hub.start()
        with hub.subscription("exp_0"):
            assert await asyncio.to_thread(begun.wait, PATIENCE)
            stop = asyncio.create_task(hub.stop())
            await asyncio.sleep(0)
            ended_early = (await asyncio.wait([stop], timeout=0.1))[0]
            go_on.set()
            await stop
        assert not ended_early
        assert over.is_set()

    asyncio.run(follow_and_stop())


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30])
def test_a_wrong_last_event_id_is_refused(shared: Any, value: str) -> None:
    path = shared.submit()["links"]["events"]
    answer = shared.http.get(path, headers={"Last-Event-ID": value})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "Last-Event-ID")


def test_the_events_of_nothing_are_a_404(shared: Any) -> None:
    assert shared.http.get("/v1/experiments/exp_0/events").status_code == 404


def test_a_reader_is_told_where_old_events_were_removed_and_goes_on_from_there(served_by_both: Any) -> None:
    path = served_by_both.submit()["links"]["events"]
    served_by_both.train()
    whole = list(events(served_by_both.http, path))
    later = datetime.now(UTC) + timedelta(days=1)
    with served_by_both.database.write() as session:
        assert forget(session, later, limit=4) == 4
    reset = (4, "reset", {"after": 0, "removed": 4})
    assert list(events(served_by_both.http, path)) == [reset, *whole[4:]]
    assert list(events(served_by_both.http, path, 2)) == [(4, "reset", {"after": 2, "removed": 2}), *whole[4:]]
    assert list(events(served_by_both.http, path, 4)) == whole[4:]
    experiment = path.split("/")[3]
    with Client(str(served_by_both.http.base_url)) as client:
        assert [event["id"] for event in client.events(experiment)] == list(range(4, len(whole) + 1))
    with served_by_both.database.write() as session:
        assert forget(session, later, limit=1000) == len(whole) - 5
    # However old, the last one stays: whoever comes late learns the end, and who has everything need not come back.
    assert list(events(served_by_both.http, path))[1:] == [whole[-1]]
    assert served_by_both.http.get(path, headers={"Last-Event-ID": str(len(whole))}).status_code == 204
