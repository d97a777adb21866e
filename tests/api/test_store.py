"""What a service says of the store of its files: whether all use the same, and when it does not answer."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from firstlight.doctor import examine
from services.artifacts.folder import FolderArtifacts
from services.cohorts import workers
from services.cohorts.workers import Identity, Store
from services.db.database import Database
from tests.support.s3_server import BUCKET, S3Server

CSV = b"x,y\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(20))


def worker(database: Database, number: int, store: Store | None) -> None:
    """A live worker on a host of its own."""
    with database.write() as session:
        workers.register(session, f"wrk_{number}", Identity(f"host{number}", "boot", number, 0.0), 1, "cpu")
    with database.write() as session:
        assert workers.beat(session, f"wrk_{number}", store=store)
    with database.write() as session:
        assert workers.beat(session, f"wrk_{number}")  # what is not told stays


def store_of(served: Any) -> dict[str, str]:
    answer = served.http.get("/readyz")
    assert answer.status_code == 200, "a question of stores made the service unready"
    return answer.json()["store"]


def doctor(served: Any) -> tuple[int, str]:
    out = io.StringIO()
    status = examine(str(served.http.base_url), Console(file=out, width=10_000))
    return status, out.getvalue()


def test_workers_that_use_another_store_are_named(served_by_both: Any, tmp_path: Path) -> None:
    served, artifacts = served_by_both, FolderArtifacts(tmp_path / "artifacts")
    worker(served.database, 1, None)
    part = store_of(served)
    assert part == {"status": "ok", "detail": f"{tmp_path}/artifacts; no live worker has said which it uses"}
    assert not (tmp_path / "artifacts").exists(), "who only looks has made the folder"
    worker(served.database, 2, Store(artifacts.identity(), "/as/host2/has/it"))
    assert store_of(served) == {"status": "ok", "detail": f"{tmp_path}/artifacts, the same for all"}
    for number in range(3, 10):
        worker(served.database, number, Store("f" * 32, f"/elsewhere/{number}"))
    part = store_of(served)
    assert part["status"] == "degraded"
    assert f": {tmp_path}/artifacts; worker wrk_3 on host3: /elsewhere/3; " in part["detail"]
    assert "wrk_8" not in part["detail"]
    assert " and 2 more. " in part["detail"]
    assert "Set FIRSTLIGHT_ARTIFACTS_URL" in part["detail"]


def test_the_doctor_calls_it_bad(served: Any, tmp_path: Path) -> None:
    own = Store(FolderArtifacts(tmp_path / "artifacts").identity(), "/here")
    worker(served.database, 1, own)
    _, text = doctor(served)
    assert "the store of checkpoints" not in text
    worker(served.database, 2, Store("f" * 32, "/elsewhere"))
    status, text = doctor(served)
    assert status == 1
    assert "bad  the store of checkpoints and uploads: not one for all." in text
    assert "worker wrk_2 on host2: /elsewhere" in text


def test_a_bucket_that_is_away_shows_and_does_no_harm(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.artifacts.bucket.GOOD_SECONDS", 0.0)
    with serve(tmp_path, sqlite_url, artifacts_url=f"s3://{BUCKET}") as served:
        worker(served.database, 1, None)
        stored = served.http.post("/v1/datasets", content=CSV, headers={"Content-Type": "text/csv"})
        assert stored.status_code == 201, stored.text
        name = stored.json()["name"]
        assert f"uploads/{name}/table.npz" in s3_server.names()
        spec = {"dataset": name, "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
        s3_server.stop()
        part = store_of(served)
        assert part["status"] == "degraded"
        assert "not reached from this API" in part["detail"]
        for answer in (served.http.get("/v1/datasets"), served.http.post("/v1/experiments", json=spec)):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["detail"] == "the store of uploaded tables does not answer; try again"
        assert served.http.post("/v1/experiments", json={**spec, "dataset": "digits"}).status_code == 202
        s3_server.start()
        assert served.http.post("/v1/experiments", json=spec).status_code == 202
        listed = [entry["name"] for entry in served.http.get("/v1/datasets").json()["items"]]
        assert name in listed
        other = served.http.post("/v1/datasets", content=CSV + b"99,1\n", headers={"Content-Type": "text/csv"})
        assert served.http.delete(f"/v1/datasets/{other.json()['name']}").status_code == 204
        assert {key.split("/")[1] for key in s3_server.names("uploads/")} == {name}
