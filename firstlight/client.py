"""A thin client of the HTTP interface: one method per path, plain dictionaries back."""

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from firstlight.address import AddressError, base_url

FINAL = ("succeeded", "failed", "cancelled")
BUSY = (429, 503)
"""What a service answers that asks to come back later, with Retry-After."""

log = logging.getLogger("firstlight")


class FirstlightHTTPError(Exception):
    """The service refused a request. `problem` is its problem document (RFC 9457); `status` its HTTP status."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        super().__init__(_told(status, self.problem))


class UnexpectedAnswerError(Exception):
    """What answers at the address is no Firstlight service: its answer has another form."""


class Client:
    """A session with one Firstlight service.

    Args:
        url: base address; default ``FIRSTLIGHT_URL`` or http://127.0.0.1:8000. ``localhost:8101`` is taken as HTTP.
        api_key: bearer key; default ``FIRSTLIGHT_API_KEY``.
        timeout: seconds for one request, streams excepted; None waits for as long as the connection lives.
        patience: most seconds that one call waits altogether when a busy service says when to come back. Only what can
            be asked twice is asked again: reads, and submissions, which carry a key. Each wait is a line of the
            logger ``firstlight``, on stderr unless set up otherwise.

    Raises:
        AddressError: `url` is no address. Every call raises FirstlightHTTPError where the service refuses,
            UnexpectedAnswerError where something else answers, and httpx.TransportError where nothing does.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | None = 60.0,
        patience: float = 60.0,
    ) -> None:
        key = api_key or os.environ.get("FIRSTLIGHT_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        base = base_url(url)
        self._http = httpx.Client(base_url=base, headers=headers, timeout=timeout)
        self.url = base
        self.patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Submit a spec; a lost answer is asked for again under the same key, so one experiment is made."""
        return self._submit("/v1/experiments", spec, idempotency_key)

    def clone(
        self, experiment_id: str, changes: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Submit a copy whose spec has these fields instead; None takes a field out. Lost answers: see `submit`."""
        return self._submit(f"{_experiment(experiment_id)}/clone", {"spec": dict(changes or {})}, idempotency_key)

    def plan(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The dry run: the expanded grid, predicted seconds and memory, warnings."""
        return self._json("POST", "/v1/experiments", repeatable=True, json=spec, params={"dry_run": "true"})

    def experiment(self, experiment_id: str) -> dict[str, Any]:
        """One experiment."""
        return self._json("GET", _experiment(experiment_id))

    def experiments(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Every experiment that matches `state`, `dataset`, `tag`, `created_after` or `filter`, newest first."""
        return self._items("/v1/experiments", query)

    def act(self, experiment_id: str, action: str) -> dict[str, Any]:
        """Cancel, pause, resume, retry or clone."""
        return self._json("POST", f"{_experiment(experiment_id)}/{_step(action)}")

    def delete(self, experiment_id: str) -> None:
        """Delete a final experiment."""
        self._checked(self._http.delete(_experiment(experiment_id)))

    def trials(self, experiment_id: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every trial of an experiment; filter by `state` or `arm`."""
        return self._items(f"{_experiment(experiment_id)}/trials", query)

    def metrics(self, experiment_id: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every epoch row; filter by `trial`, `arm`, `epoch_from`, `epoch_to`."""
        return self._items(f"{_experiment(experiment_id)}/metrics", query)

    def download(self, path: str, *, accept: str | None = None, **query: Any) -> bytes:
        """Any answer as bytes, e.g. a figure, the report, metrics as CSV or Parquet."""
        headers = {"Accept": accept} if accept else {}
        return self._send("GET", path, params=query, headers=headers).content

    def rows(self, experiment_id: str, media_type: str) -> bytes:
        """Every epoch row as text/csv, application/vnd.apache.parquet or application/jsonl."""
        return self.download(f"{_experiment(experiment_id)}/metrics", accept=media_type)

    def figure(self, experiment_id: str, kind: str, form: str = "png", **query: Any) -> bytes:
        """A figure as json (Vega-Lite), svg, png, pdf or html."""
        return self.download(f"{_experiment(experiment_id)}/figures/{_step(kind)}.{_step(form)}", **query)

    def report(self, experiment_id: str) -> bytes:
        """The self-contained HTML report."""
        return self.download(f"{_experiment(experiment_id)}/report.html")

    def comparison(self, experiment_id: str, **query: Any) -> dict[str, Any]:
        """Arms with intervals, paired differences, ranking and verdict; `metric`, `at`, `confidence`."""
        return self._json("GET", f"{_experiment(experiment_id)}/comparison", params=query)

    def compare(self, experiment_ids: Sequence[str], **question: Any) -> dict[str, Any]:
        """The arms of several experiments side by side; the same questions, and `by`: axes that stay apart."""
        body = {"experiments": list(experiment_ids), **question}
        return self._json("POST", "/v1/comparisons", repeatable=True, json=body)

    def claims(self, experiment_id: str, **query: Any) -> dict[str, Any]:
        """The answer to each hypothesis of the spec; `confidence`, `test`."""
        return self._json("GET", f"{_experiment(experiment_id)}/claims", params=query)

    def predict(self, networks: Mapping[str, Any]) -> dict[str, Any]:
        """What theory expects of untrained networks: `activation`, `initializer`, `depth` and `width`, or `hidden`."""
        return self._json("POST", "/v1/predictions", repeatable=True, json=networks)

    def recommend(self, **query: Any) -> list[dict[str, Any]]:
        """What to choose for a `task` at a `depth`, perhaps with a settled `activation`; by role, the best first."""
        return list(self._items("/v1/recommendations", query, limit=None))

    def upload(self, path: str | Path, *, dry_run: bool = False, **options: Any) -> dict[str, Any]:
        """Send a CSV file; the answer's `name` is what a spec calls it, its `columns` tell how each was read.

        Args:
            path: the file.
            dry_run: only tell how it would be read.
            options: how to read it, as in the API: `target`, `task`, `name`, `delimiter`, `missing`, `drop`, …

        Raises:
            OSError: the file cannot be read.
        """
        query = {"dry_run": "true", **options} if dry_run else options
        file = Path(path)
        with file.open("rb") as content:
            sent = {"file": (file.name, content, "text/csv")}
            return self._json("POST", "/v1/datasets", params=query, files=sent, timeout=None)

    def catalogue(self, family: str, kind: str | None = None) -> dict[str, Any]:
        """A family's members (activations, initializers, optimizers, models, datasets, presets, figures), or one."""
        return self._json(
            "GET",
            f"/v1/{_step(family)}/{_step(kind)}" if kind else f"/v1/{_step(family)}",
            params=None if kind else {"limit": 1000},
        )

    def create_key(
        self, name: str, scope: str, *, workspace: str | None = None, expires_at: datetime | None = None
    ) -> dict[str, Any]:
        """Make a key of scope read, write or admin; the answer's `key` is shown this once."""
        body: dict[str, Any] = {"name": name, "scope": scope, "workspace": workspace}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        return self._json("POST", "/v1/keys", json=body)

    def api_keys(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Every key, the newest first; `workspace` names one."""
        return self._items("/v1/keys", query)

    def revoke_key(self, key_id: str) -> None:
        """Close a key for good."""
        self._checked(self._http.delete(f"/v1/keys/{_step(key_id)}"))

    def ready(self) -> dict[str, Any]:
        """The readiness report; raises while the service is not ready."""
        return self._json("GET", "/readyz")

    def wait(self, experiment_id: str, *, timeout: float | None = None) -> dict[str, Any]:
        """Return the experiment once it is final.

        Raises:
            TimeoutError: it was not final after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (experiment := self.experiment(experiment_id))["state"] not in FINAL:
            if end is not None and time.monotonic() > end:
                message = f"{experiment_id} is still {experiment['state']} after {timeout} s"
                raise TimeoutError(message)
            time.sleep(0.25)
        return experiment

    def events(self, experiment_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield ``{"id", "event", "data"}``; reconnects where it broke off, ends after `done`."""
        last, failures = after, 0
        while True:
            try:
                for event in self._stream(experiment_id, last):
                    last, failures = event["id"], 0
                    yield event
                    if event["event"] == "done":
                        return
            except httpx.TransportError:
                failures += 1
                if failures > 10:
                    raise
            time.sleep(min(0.2 * 2**failures, 5.0))

    def _stream(self, experiment_id: str, last: int) -> Iterator[dict[str, Any]]:
        headers = {"Last-Event-ID": str(last), "Accept": "text/event-stream"}
        path = f"{_experiment(experiment_id)}/events"
        with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(60.0, connect=5.0)) as response:
            if not response.is_success:
                response.read()
                self._checked(response)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise _unexpected(response, "events")
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    fields[name] = fields.get(name, "") + value.removeprefix(" ")
                elif not line and "data" in fields:
                    try:
                        number, data = int(fields.get("id", last)), json.loads(fields["data"])
                    except ValueError:
                        raise _unexpected(response, "events") from None
                    yield {"id": number, "event": fields.get("event"), "data": data}
                    fields = {}

    def _submit(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        for pause in (0.2, 1.0, None):
            try:
                return self._json("POST", path, repeatable=True, json=body, headers=headers)
            except httpx.TransportError:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    def _items(self, path: str, query: Mapping[str, Any], limit: int | None = 1000) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {**({} if limit is None else {"limit": limit}), **query}
        while True:
            page = self._json("GET", path, params=params)
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def _json(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> dict[str, Any]:
        response = self._send(method, path, repeatable=repeatable, **options)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise _unexpected(response, "a JSON object")
        return answer

    def _send(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> httpx.Response:
        """Send, and again when a busy service said so and it fits into the patience."""
        left = self.patience if repeatable or method == "GET" else 0.0
        while True:
            response = self._http.request(method, path, **options)
            pause = _retry_after(response)
            if pause is None or pause > left:
                return self._checked(response)
            left -= max(pause, 0.1)
            log.warning("the service is busy (%d); asking again in %g s", response.status_code, pause)
            time.sleep(pause)

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_error:
            try:
                problem = response.json()
            except ValueError:
                problem = None
            if not isinstance(problem, dict):
                problem = {"title": response.reason_phrase, "detail": response.text[:500]}
            raise FirstlightHTTPError(response.status_code, problem)
        return response


def _experiment(experiment_id: str) -> str:
    return f"/v1/experiments/{_step(experiment_id)}"


def _step(name: str) -> str:
    """A name as one step of a path, whatever it holds."""
    if not name or set(name) == {"."}:
        raise AddressError(f"{name!r} is neither an id nor a name")
    return quote(name, safe="")


def _told(status: int, problem: Mapping[str, Any]) -> str:
    """The problem on one line; each further field on a line of its own. What the detail says already is left out."""
    detail = " ".join(str(problem.get("detail") or "").split())
    head = f"{problem.get('title') or 'Error'} ({status})"
    errors = problem.get("errors")
    fields = [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
    messages = [" ".join(str(item.get("message", "")).split()) for item in fields]
    lines = [f"{head}: {detail}" if detail else head]
    for item, message in zip(fields, messages, strict=True):
        pointer = str(item.get("pointer") or "")
        line = f"{pointer}: {message}" if pointer else message
        in_detail = line.removeprefix("/") in detail or (messages.count(message) == 1 and message in detail)
        if not in_detail:
            lines.append(f"  {line}")
    return "\n".join(lines)


def _unexpected(response: httpx.Response, form: str) -> UnexpectedAnswerError:
    kind = response.headers.get("Content-Type", "no type")
    url = response.request.url
    return UnexpectedAnswerError(
        f"{url.copy_with(query=None)} answered with {kind[:80]} instead of {form}: is that a Firstlight service?"
    )


def _retry_after(response: httpx.Response) -> float | None:
    """In how many seconds to come back; None when the service does not ask for that."""
    wait = response.headers.get("Retry-After", "")
    return float(wait) if response.status_code in BUSY and wait.isascii() and wait.isdigit() else None
