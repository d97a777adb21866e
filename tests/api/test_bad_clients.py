"""Clients that go away, dawdle or never end: raw connections to a real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_process import ApiProcess, api_process
from tests.support.workers import eventually


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("server"), migrated_sqlite) as found:
        yield found


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
        found = [line for line in lines if line.startswith("firstlight_http_requests_total{")]
        return sum(int(float(line.split()[-1])) for line in found if 'status="499"' in line)

    eventually(lambda: counted() >= many * len(UPLOADS), "all of them were noticed")
    assert server.http.get("/healthz").text == "ok"
    lines = [line for line in server.log.splitlines() if '"client_went_away"' in line]
    assert lines
    assert len(lines) <= many * len(UPLOADS)
    assert max(map(len, lines)) < 400
    for word in ("request_failed", "Traceback", '"exception"'):
        assert word not in server.log
