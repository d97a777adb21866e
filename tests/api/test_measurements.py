"""What `/metrics` shows beside requests: wrong keys, and workers that are alive and take no work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.cohorts import workers
from services.cohorts.workers import Identity
from services.measurements import FOLDER


def numbers(served: Any, **headers: str) -> dict[str, str]:
    text = served.http.get("/metrics", headers=headers).text
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_wrong_keys_are_counted_and_no_key_is_none(serve: Callable[..., Any], sqlite_url: str, tmp_path: Path) -> None:
    with serve(tmp_path, sqlite_url, api_keys="the-right-key") as served:
        served.http.get("/v1/experiments")
        for _ in range(3):
            served.http.get("/v1/experiments", headers={"Authorization": "Bearer a-wrong-key"})
        samples = numbers(served, Authorization="Bearer the-right-key")
    assert samples["firstlight_wrong_keys_total"] == "3.0"


def test_workers_that_take_no_work_are_counted_apart(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path
) -> None:
    with serve(tmp_path, sqlite_url) as served:
        with served.database.write() as session:
            for name, problem in (("wrk_1", None), ("wrk_2", "the artifacts folder cannot be written")):
                workers.register(session, name, Identity("host", "boot", 1, 1.0), 2, "cpu")
                workers.beat(session, name, problem=problem)
        samples = numbers(served)
    assert [samples[f"firstlight_{name}"] for name in ("workers", "slots", "workers_held")] == ["1.0", "2.0", "1.0"]


def test_files_that_are_no_counters_do_no_harm(serve: Callable[..., Any], sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "0.json").write_text('{"families": [{"name": "firstlight_worker_x", "samples": "?"}]}')
    (tmp_path / FOLDER / "1.json").mkdir()
    with serve(tmp_path, sqlite_url) as served:
        samples = numbers(served)
    assert samples["firstlight_database_up"] == "1.0"
    assert not any("worker_x" in name for name in samples)
