"""Clients that go away, dawdle or never end: raw connections to a real process."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import psutil
import pytest

from api import connection_guard
from tests.support.api_process import ApiProcess, api_process
from tests.support.workers import eventually


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("server"), migrated_sqlite) as process:
        yield process


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode()


UPLOADS = {
    "json": head("POST", "/v1/experiments", "Content-Type: application/json", "Content-Length: 5000") + b'{"name": "',
    "csv": head("POST", "/v1/datasets", "Content-Type: text/csv", "Content-Length: 500000") + b"a,b\n1,2\n",
    "chunked": head("POST", "/v1/datasets", "Content-Type: text/csv", "Transfer-Encoding: chunked") + b"4\r\na,b\n\r\n",
    "form": head("POST", "/v1/datasets", "Content-Type: multipart/form-data; boundary=xx", "Content-Length: 5000")
    + b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n',
}


def test_clients_that_go_away_in_mid_body_are_no_errors(server: ApiProcess) -> None:
    many = 20
    for _ in range(many):
        for request in UPLOADS.values():
            with server.connect() as connection:
                connection.sendall(request)

    def counted() -> int:
        lines = server.http.get("/metrics").text.splitlines()
        samples = [line for line in lines if line.startswith("firstlight_http_requests_total{")]
        return sum(int(float(line.split()[-1])) for line in samples if 'status="499"' in line)

    eventually(lambda: counted() >= many * len(UPLOADS), "all of them were noticed")
    assert server.http.get("/healthz").text == "ok"
    lines = [line for line in server.log.splitlines() if '"client_went_away"' in line]
    assert lines
    assert len(lines) <= many * len(UPLOADS)
    assert max(map(len, lines)) < 400
    for word in ("request_failed", "Traceback", '"exception"'):
        assert word not in server.log


@pytest.fixture(scope="module")
def hasty(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """A server with little patience and few connections."""
    settings = {"header_seconds": "1.5", "body_seconds": "0.5", "max_connections": "10"}
    with api_process(tmp_path_factory.mktemp("hasty"), migrated_sqlite, **settings) as process:
        yield process


def sent(connection: socket.socket, *pieces: bytes) -> bytes:
    """Send until the other side has had enough; return all that it answers."""
    try:
        for piece in pieces:
            connection.sendall(piece)
    except OSError:
        pass  # it has ended the connection: what it said before is here
    return rest(connection)


def rest(connection: socket.socket) -> bytes:
    answer = b""
    while True:
        try:
            data = connection.recv(65_536)
        except ConnectionError:
            return answer
        if not data:
            return answer
        answer += data


def refused(answer: bytes, status: int, code: str) -> None:
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"application/problem+json" in top
    assert b"connection: close" in top.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert f"x-request-id: {problem['request_id']}".encode() in top


MEGABYTE = b"x" * 2**20
ENDLESS = {
    "one line": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[MEGABYTE] * 40),
    "address": (b"GET /", *[MEGABYTE] * 40),
    "name": (b"GET / HTTP/1.1\r\n", *[MEGABYTE] * 40),
    "many lines": (b"GET / HTTP/1.1\r\n", *[b"a: b\r\n" * 10_000] * 10),
    "many long lines": (b"GET / HTTP/1.1\r\n", *[b"a: " + b"b" * 8_000 + b"\r\n"] * 50),
    "empty lines": (b"\r\n" * 2**20,) * 4,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_head_is_refused_at_once(server: ApiProcess, kind: str) -> None:
    before = server.processor_seconds()
    with server.connect() as connection:
        refused(sent(connection, *ENDLESS[kind]), 431, "head_too_large")
    # Forty megabytes took 17 s.
    assert server.processor_seconds() - before < 3
    assert server.http.get("/healthz").text == "ok"


def test_a_large_but_legal_head_is_served(server: ApiProcess) -> None:
    fields = {f"X-{number}": "v" * 500 for number in range(80)}
    assert server.http.get("/healthz", headers=fields).text == "ok"
    names = "&".join(f"drop=column_{number}" for number in range(1_000))
    assert server.http.post(f"/v1/datasets?{names}", content=b"", headers={"Content-Type": "text/csv"}).is_client_error


def test_an_endless_chunk_extension_and_endless_trailers_are_refused(server: ApiProcess) -> None:
    begun = head("POST", "/v1/datasets", "Content-Type: text/csv", "Transfer-Encoding: chunked")
    for pieces in ((b"4;", *[MEGABYTE] * 20), (b"4\r\na,b\n\r\n0\r\n", *[b"X: " + MEGABYTE] * 20)):
        with server.connect() as connection:
            assert b" 400 " in sent(connection, begun, *pieces)[:20]


def test_thousands_of_requests_sent_ahead_are_not_taken(server: ApiProcess) -> None:
    with server.connect() as connection:
        answer = sent(connection, head("GET", "/healthz") * 5_000)
    assert answer.count(b"HTTP/1.1 200") < 100
    with server.connect() as connection:
        few = head("GET", "/healthz") * 4 + head("GET", "/healthz", "Connection: close")
        assert sent(connection, few).count(b"HTTP/1.1 200") == 5


def test_what_is_not_http_gets_a_problem(server: ApiProcess) -> None:
    with server.connect() as connection:
        refused(sent(connection, b"\x16\x03\x01 hello\r\n\r\n"), 400, "bad_request")


def test_a_dawdling_head_and_a_dawdling_body_are_cut(hasty: ApiProcess) -> None:
    with hasty.connect() as connection:
        assert rest(connection) == b"", "nothing was asked"
    with hasty.connect() as connection:
        refused(sent(connection, b"GET / HTTP/1.1\r\nHost: "), 408, "request_too_slow")
    for request in UPLOADS.values():
        with hasty.connect() as connection:
            refused(sent(connection, request), 408, "request_too_slow")
    with hasty.connect() as connection:
        connection.sendall(head("GET", "/healthz", "Content-Length: 10"))
        answer = rest(connection)
        assert answer.startswith(b"HTTP/1.1 200"), "what needs no body is answered"
        assert answer.count(b"HTTP/1.1") == 1
    assert "request_failed" not in hasty.log


def test_connections_that_wait_make_room_for_those_that_ask(hasty: ApiProcess) -> None:
    waiting = [hasty.connect() for _ in range(30)]
    try:
        with hasty.connect() as connection:
            answer = sent(connection, head("GET", "/healthz", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200")
    finally:
        for connection in waiting:
            connection.close()


def test_without_room_a_newcomer_is_told_to_come_back(hasty: ApiProcess) -> None:
    spec = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
    events = hasty.http.post("/v1/experiments", json=spec).json()["links"]["events"]
    streams: list[socket.socket] = []
    try:
        for _ in range(10):
            streams.append(hasty.connect())
            streams[-1].sendall(head("GET", events))
            assert streams[-1].recv(12) == b"HTTP/1.1 200"
        with hasty.connect() as connection:
            answer = sent(connection, head("GET", "/healthz", "Connection: close"))
        refused(answer, 503, "unavailable")
        assert b"retry-after: 1" in answer
    finally:
        for stream in streams:
            stream.close()


def test_an_answer_that_nobody_reads_is_given_up(
    migrated_sqlite: Path, serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_guard, "STALLED_SECONDS", 0.2)
    copyfile(migrated_sqlite, tmp_path / "firstlight.db")
    with serve(tmp_path, f"sqlite:///{tmp_path / 'firstlight.db'}") as served, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", served.http.base_url.port))
        connection.sendall(head("GET", "/docs/swagger-ui-bundle.js") * 12)  # more than the buffers between hold
        assert connection.recv(12) == b"HTTP/1.1 200"
        port = connection.getsockname()[1]

        def held() -> bool:
            return any(other.raddr and other.raddr.port == port for other in psutil.Process().net_connections("tcp"))

        eventually(lambda: not held(), "the server ends it")
