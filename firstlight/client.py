"""A thin client of the HTTP interface: one method per path, plain dictionaries back."""

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
FINAL = ("succeeded", "failed", "cancelled")
BUSY = (429, 503)
"""What a service answers that asks to come back later, with Retry-After."""

log = logging.getLogger("firstlight")


class FirstlightHTTPError(Exception):
    """The service refused a request. `problem` is its problem document (RFC 9457); `status` its HTTP status."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        lines = [f"{problem.get('title', 'Error')} ({status})", str(problem.get("detail", ""))]
        lines += [f"  {item.get('pointer', '')}: {item.get('message', '')}" for item in problem.get("errors") or ()]
        super().__init__("\n".join(line for line in lines if line.strip()))


class Client:
    """A session with one Firstlight service.

    Args:
        url: base address; default ``FIRSTLIGHT_URL`` or http://127.0.0.1:8000.
        api_key: bearer key; default ``FIRSTLIGHT_API_KEY``.
        timeout: seconds for one request, streams excepted; None waits for as long as the connection lives.
        patience: most seconds that one call waits altogether when a busy service says when to come back. Only what can
            be asked twice is asked again: reads, and submissions, which carry a key. Each wait is a line of the
            logger ``firstlight``, on stderr unless set up otherwise.
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
        base = (url or os.environ.get("FIRSTLIGHT_URL") or DEFAULT_URL).rstrip("/")
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
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        for pause in (0.2, 1.0, None):
            try:
                return self._json("POST", "/v1/experiments", repeatable=True, json=spec, headers=headers)
            except httpx.TransportError:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    def plan(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The dry run: the expanded grid, predicted seconds and memory, warnings."""
        return self._json("POST", "/v1/experiments", repeatable=True, json=spec, params={"dry_run": "true"})

    def experiment(self, experiment_id: str) -> dict[str, Any]:
        """One experiment."""
        return self._json("GET", f"/v1/experiments/{experiment_id}")

    def experiments(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Every experiment that matches `state`, `dataset`, `tag`, `created_after` or `filter`, newest first."""
        return self._items("/v1/experiments", query)

    def act(self, experiment_id: str, action: str) -> dict[str, Any]:
        """Cancel, pause, resume, retry or clone."""
        return self._json("POST", f"/v1/experiments/{experiment_id}/{action}")

    def delete(self, experiment_id: str) -> None:
        """Delete a final experiment."""
        self._checked(self._http.delete(f"/v1/experiments/{experiment_id}"))

    def trials(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Every trial of an experiment."""
        return self._items(f"/v1/experiments/{experiment_id}/trials", {})

    def metrics(self, experiment_id: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every epoch row; filter by `trial`, `arm`, `epoch_from`, `epoch_to`."""
        return self._items(f"/v1/experiments/{experiment_id}/metrics", query)

    def download(self, path: str, *, accept: str | None = None, **query: Any) -> bytes:
        """Any answer as bytes, e.g. a figure, the report, metrics as CSV or Parquet."""
        headers = {"Accept": accept} if accept else {}
        return self._send("GET", path, params=query, headers=headers).content

    def figure(self, experiment_id: str, kind: str, form: str = "png", **query: Any) -> bytes:
        """A figure as json (Vega-Lite), svg, png, pdf or html."""
        return self.download(f"/v1/experiments/{experiment_id}/figures/{kind}.{form}", **query)

    def report(self, experiment_id: str) -> bytes:
        """The self-contained HTML report."""
        return self.download(f"/v1/experiments/{experiment_id}/report.html")

    def comparison(self, experiment_id: str, **query: Any) -> dict[str, Any]:
        """Arms with intervals, paired differences, ranking and verdict; `metric`, `at`, `confidence`."""
        return self._json("GET", f"/v1/experiments/{experiment_id}/comparison", params=query)

    def claims(self, experiment_id: str) -> dict[str, Any]:
        """The answer to each hypothesis of the spec."""
        return self._json("GET", f"/v1/experiments/{experiment_id}/claims")

    def catalogue(self, family: str, kind: str | None = None) -> dict[str, Any]:
        """A family's members (activations, initializers, optimizers, models, datasets, presets, figures), or one."""
        return self._json(
            "GET", f"/v1/{family}/{kind}" if kind else f"/v1/{family}", params=None if kind else {"limit": 1000}
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
        self._checked(self._http.delete(f"/v1/keys/{key_id}"))

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
        path = f"/v1/experiments/{experiment_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(60.0, connect=5.0)) as response:
            if not response.is_success:
                response.read()
                self._checked(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    fields[name] = fields.get(name, "") + value.removeprefix(" ")
                elif not line and "data" in fields:
                    yield {
                        "id": int(fields.get("id", last)),
                        "event": fields.get("event"),
                        "data": json.loads(fields["data"]),
                    }
                    fields = {}

    def _items(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {"limit": 1000, **query}
        while True:
            page = self._json("GET", path, params=params)
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def _json(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> dict[str, Any]:
        return self._send(method, path, repeatable=repeatable, **options).json()

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
                problem = {"title": response.reason_phrase, "detail": response.text[:500]}
            raise FirstlightHTTPError(response.status_code, problem)
        return response


def _retry_after(response: httpx.Response) -> float | None:
    """In how many seconds to come back; None when the service does not ask for that."""
    wait = response.headers.get("Retry-After", "")
    return float(wait) if response.status_code in BUSY and wait.isascii() and wait.isdigit() else None
