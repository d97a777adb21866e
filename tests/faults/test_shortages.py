"""Too little of something: connections of the database, open files, a client's attention, the rest of an upload."""

import resource
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from services.cohorts.claim import claim
from services.cohorts.commit import commit_epochs
from services.db.database import POOL_SIZE
from services.science.datasets.upload import UPLOADS
from tests.support.api_process import ApiProcess, api_in
from tests.support.experiments import make_experiment, message
from tests.support.workers import PATIENCE, Workshop, eventually

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu"],
    "initializer": ["he_uniform"],
    "epochs": 3,
    "seeds": 1,
}
SLOW_READERS = 40
THREADS_BYTES = 64 * 2**20


@pytest.mark.parametrize("workshop", ["servers"], indirect=True)
def test_without_a_free_connection_a_client_is_told_to_come_again(workshop: Workshop, tmp_path: Path) -> None:
    """Row 32: every connection of the API waits for a lock; a worker's lease has one of its own."""
    gate = tmp_path / "gate"
    workshop.worker()
    experiment = workshop.submit((1,), epochs=5, gate={"epoch": 3, "mark": str(gate)})
    workshop.wait_epoch(experiment, 2)  # nothing is left to store: its lease alone is renewed
    url = workshop.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with api_in(workshop.environment, workshop.folder) as api, psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE experiments IN ACCESS EXCLUSIVE MODE")
        expiry = workshop.cohort(experiment).lease_expires_at
        with ThreadPoolExecutor(4 * POOL_SIZE) as clients:
            requests = [clients.submit(api.http.get, "/v1/experiments") for _ in range(4 * POOL_SIZE)]
            refused = eventually(
                lambda: [one.result() for one in requests if one.done() and one.result().status_code == 503],
                "one to be refused",
            )
            assert all("Retry-After" in answer.headers for answer in refused)
            assert api.http.get("/healthz").is_success
            eventually(lambda: workshop.cohort(experiment).lease_expires_at > expiry, "the lease to be renewed")
            holder.rollback()
            assert {one.result().status_code for one in requests} <= {200, 503}
        eventually(lambda: api.http.get("/v1/experiments").status_code == 200, "the pool to be free again")
    gate.touch()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["done"]


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_while_another_program_writes_a_client_is_told_to_come_again(workshop: Workshop) -> None:
    """Row 32 on SQLite, which has one writer at a time: reading goes on, and a submission is refused in the end."""
    path = str(workshop.database.url.database)
    with api_in(workshop.environment, workshop.folder) as api:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as client:
            request = client.submit(api.http.post, "/v1/experiments", json=SPEC)
            assert api.http.get("/v1/experiments").status_code == 200
            refused = request.result()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1"), refused.text
        print(f"refused after {refused.elapsed.total_seconds():.1f} s")
        holder.execute("ROLLBACK")
        holder.close()
        assert api.http.post("/v1/experiments", json=SPEC).status_code == 202


def test_a_worker_that_may_open_no_file_takes_no_work(workshop: Workshop, tmp_path: Path) -> None:
    """Row 33: first while it waits for work, then while it trains."""
    worker = workshop.worker()
    gate = tmp_path / "gate"
    assert workshop.wait(workshop.submit((1,), epochs=2)) == "succeeded"
    eventually(workshop.children, "the next child")
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)

    def starve() -> None:
        # Below what it has open: not one more can be had.
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (4, hard))

    starve()
    log = workshop.folder / "worker-0.log"
    experiment = workshop.submit((1,), epochs=10, gate={"epoch": 5, "mark": str(gate)})
    eventually(lambda: "Too many open files" in log.read_text() or "Errno 24" in log.read_text(), "it to complain")
    assert workshop.cohort(experiment).attempt == 0
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    workshop.wait_epoch(experiment, 3)
    starve()
    gate.touch()
    seen = len(log.read_text())
    eventually(lambda: workshop.state(experiment) == "succeeded" or len(log.read_text()) > seen, "it to notice")
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    cohort = workshop.cohort(experiment)
    assert (cohort.failures, cohort.losses) == (0, 0)
    assert worker.poll() is None


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
@pytest.mark.parametrize("kind", ["text/csv", "multipart/form-data; boundary=xx"])
def test_half_an_upload_leaves_nothing(workshop: Workshop, kind: str) -> None:
    """Row 34: larger than what is held in memory, so that it waits in a temporary file."""
    rows = b"".join(b"%d,%d\n" % (number, number % 7) for number in range(300_000))
    opening = (
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' if "form" in kind else b""
    )
    body = opening + b"a,b\n" + rows
    fields = ("Host: localhost", f"Content-Type: {kind}", f"Content-Length: {2 * len(body)}")
    head = "\r\n".join(["POST /v1/datasets HTTP/1.1", *fields, "", ""])
    with api_in(workshop.environment, workshop.folder) as api:
        server = psutil.Process(api.process.pid)

        def deleted() -> list[str]:
            """Open files without a name: where an upload waits."""
            paths = []
            for path in Path(f"/proc/{server.pid}/fd").iterdir():
                try:
                    paths.append(str(path.readlink()))
                except OSError:
                    continue
            return [name for name in paths if name.endswith("(deleted)")]

        before = deleted()
        with api.connect() as connection:
            connection.sendall(head.encode() + body)
            eventually(lambda: len(deleted()) > len(before), "the upload to be on disk")
        eventually(lambda: deleted() == before, "its file to be gone")
        listed = api.http.get("/v1/datasets").json()["items"]
        assert [item for item in listed if item["name"].startswith("dts_")] == []
    uploads = workshop.settings.data_path / UPLOADS
    assert not uploads.exists() or list(uploads.iterdir()) == []


def slow_reader(api: ApiProcess, experiment: str) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", api.port))
    connection.sendall(f"GET /v1/experiments/{experiment}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    return connection


@pytest.mark.parametrize("workshop", ["servers"], indirect=True)
def test_readers_that_do_not_read_cost_the_others_nothing(workshop: Workshop) -> None:
    """Row 17. That such a stream is closed in the end: tests/api/test_bad_clients.py."""
    epochs, step = 1000, 50
    with workshop.database.write() as session:
        experiment = make_experiment(session, (4,), epochs)
    with workshop.database.write() as session:
        taken = claim(session, "w", 1000.0)
        assert taken is not None
        for first in range(0, epochs, step):
            commit_epochs(session, taken.cohort_id, taken.attempt, message(first, first + step - 1, range(4)), 1000.0)
    url = workshop.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%%'"
    with api_in(workshop.environment, workshop.folder) as api, psycopg.connect(url, autocommit=True) as look:
        last = workshop.events(experiment)[-1].seq
        whole = read_all(api, experiment, last)
        process = psutil.Process(api.process.pid)
        before = process.memory_info().rss
        readers = [slow_reader(api, experiment) for _ in range(SLOW_READERS)]
        try:
            for _ in range(3):
                read_all(api, experiment, last)
                assert api.http.get("/v1/experiments").status_code == 200
            growth = process.memory_info().rss - before
            print(f"{growth / 2**20:.0f} MiB more for {SLOW_READERS} streams of {whole / 2**20:.1f} MiB")
            # Each holds one batch as rows, as text and on its way; the threads that read have memory of their own.
            assert growth < SLOW_READERS * 3 * whole + THREADS_BYTES
            eventually(lambda: look.execute(held).fetchone() == (0,), "no stream to hold a connection")
        finally:
            for reader in readers:
                reader.close()
        log = api.log
    assert "request_failed" not in log


def read_all(api: ApiProcess, experiment: str, last: int) -> int:
    """How many bytes a stream sends up to the event with this number."""
    content = bytearray()
    with api.http.stream("GET", f"/v1/experiments/{experiment}/events") as answer:
        for piece in answer.iter_bytes():
            content += piece
            if b"\nid: %d\n" % last in content:
                return len(content)
    pytest.fail(f"the stream ended before event {last}")
