"""Files of built-in data sets that one host has are had by every host of its store."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.artifacts.folder import FolderArtifacts
from services.artifacts.interface import StoreUnreachableError
from services.datasets import shared_files
from services.datasets.shared_files import SharedFiles
from services.science.datasets.files import SourceFile

CONTENT = b"rows"
SOURCE = SourceFile("set/rows.csv", checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderArtifacts:
    class Known:
        files = (SOURCE,)

    monkeypatch.setattr(shared_files, "DATASETS", {"rows": Known})
    return FolderArtifacts(tmp_path / "shared")


def given(data: Path, content: bytes = CONTENT) -> None:
    (data / "set").mkdir(parents=True)
    (data / SOURCE.path).write_bytes(content)


@pytest.mark.parametrize("dataset", ["rows", {"name": "rows", "train_size": 3}])
def test_what_one_host_was_given_another_fetches(store: FolderArtifacts, tmp_path: Path, dataset: Any) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    SharedFiles(two, store).have(dataset)
    assert not two.exists(), "there was nothing to fetch"
    given(one)
    SharedFiles(one, store).share([SOURCE])
    for _ in range(2):
        SharedFiles(two, store).have(dataset)
        assert (two / SOURCE.path).read_bytes() == CONTENT
    assert [path.name for path in (two / "set").iterdir()] == ["rows.csv"]
    for other in ("digits", None, {"name": "dts_" + "0" * 24}, {"name": 3}):
        SharedFiles(two, store).have(other)


def test_only_the_right_bytes_count(store: FolderArtifacts, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    given(one, b"other")
    SharedFiles(one, store).share([SOURCE])
    assert not store.holds("data/set/rows.csv")
    store.put("data/set/rows.csv", one / SOURCE.path)
    with structlog.testing.capture_logs() as logs:
        SharedFiles(two, store).have("rows")
    assert [line["event"] for line in logs] == ["data_file_wrong"]
    assert list((two / "set").iterdir()) == []


def test_a_store_that_is_away_keeps_nobody_from_submitting(
    store: FolderArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(tmp_path / "one")
    shared = SharedFiles(tmp_path / "one", store)

    def away(*_: object) -> None:
        raise StoreUnreachableError("away")

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
        patch.setattr(store, "put", away)
        shared.share([SOURCE])
    assert [line["event"] for line in logs] == ["data_file_not_shared"]
    shared.share([SOURCE])
    assert store.holds("data/set/rows.csv")
