"""A service that asks to come back later: when the client waits, for how long, and what it never sends twice."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from firstlight import Client, FirstlightHTTPError
from firstlight import client as module

DONE = httpx.Response(200, json={"id": "exp_1"})


def busy(status: int = 503, after: str | None = "7") -> httpx.Response:
    problem = {"title": "The queue is full", "detail": "come back in about 7 s", "code": "queue_full"}
    return httpx.Response(status, json=problem, headers={"Retry-After": after} if after is not None else {})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


@contextmanager
def answering(*answers: httpx.Response, **options: Any) -> Iterator[tuple[Client, list[httpx.Request]]]:
    """A client of a service that gives these answers in order, and what it was asked."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1]

    with Client("http://service", **options) as client:
        client._http = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
        yield client, requests


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "call", [lambda c: c.submit({}), lambda c: c.plan({}), lambda c: c.experiment("exp_1"), lambda c: c.download("/x")]
)
def test_what_can_be_asked_twice_waits_as_long_as_it_is_told(
    call: Callable[[Client], Any], status: int, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with answering(busy(status), busy(status), DONE) as (client, requests):
        call(client)
    assert waits == [7.0, 7.0]
    assert len({request.headers.get("Idempotency-Key") for request in requests}) == 1, "one key for one submission"
    assert caplog.messages == [f"the service is busy ({status}); asking again in 7 s"] * 2


@pytest.mark.parametrize("action", ["clone", "retry", "cancel"])
def test_what_might_be_done_twice_is_not_sent_again(action: str, waits: list[float]) -> None:
    with answering(busy(), DONE) as (client, requests):
        with pytest.raises(FirstlightHTTPError, match=r"The queue is full \(503\): come back in about 7 s"):
            client.act("exp_1", action)
        assert len(requests) == 1
    assert waits == []


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (busy(after=None), 1),
        (busy(after="3600"), 1),
        (busy(after="0"), 601),
        (busy(after="Fri, 27 Nov 2026"), 1),
        (busy(after="25"), 3),
    ],
)
def test_patience_ends(answer: httpx.Response, count: int, waits: list[float]) -> None:
    with answering(answer, patience=60.0) as (client, requests):
        with pytest.raises(FirstlightHTTPError) as caught:
            client.submit({})
        assert len(requests) == pytest.approx(count, abs=1)
    assert caught.value.problem["code"] == "queue_full"
    assert sum(waits) <= 60.0


def test_other_refusals_are_told_at_once(waits: list[float]) -> None:
    refused = httpx.Response(409, content=json.dumps({"title": "no"}), headers={"Retry-After": "1"})
    with answering(refused, DONE) as (client, _), pytest.raises(FirstlightHTTPError):
        client.experiment("exp_1")
    assert waits == []
