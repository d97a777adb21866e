"""Uploaded tables that several hosts share: the store is the truth, each host keeps copies."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.artifacts.bucket import BucketArtifacts
from services.artifacts.folder import FolderArtifacts
from services.artifacts.interface import Artifacts, StoreUnreachableError
from services.artifacts.objects import Objects
from services.datasets.shared import SharedUploads, have_upload, shared_uploads
from services.datasets.store import UploadedTable, UploadStore
from services.datasets.uploads import upload_csv
from services.errors import NotFoundError
from services.settings import Settings

TEXT = b"x,y\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(20))


@dataclass
class Host:
    """One host: its data folder, and the store as it sees that."""

    data: Path
    artifacts: Artifacts
    shared: SharedUploads

    def store(self, workspace: str = "default") -> UploadStore:
        return UploadStore(self.data, workspace, self.shared)

    def upload(self, text: bytes = TEXT, workspace: str = "default") -> UploadedTable:
        return upload_csv(self.data, workspace, io.BytesIO(text), title="t", shared=self.shared)

    def copies(self) -> list[str]:
        return sorted(path.name for path in (self.data / "uploads").glob("*"))


@pytest.fixture(params=["folder", "bucket"])
def hosts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Host, Host]:
    """Two hosts of one store."""
    from obstore.store import MemoryStore

    memory = MemoryStore()

    def host(name: str) -> Host:
        if request.param == "bucket":
            artifacts: Artifacts = BucketArtifacts(Objects("memory://", memory), tmp_path / name / "scratch")
        else:
            artifacts = FolderArtifacts(tmp_path / "shared")
        return Host(tmp_path / name, artifacts, SharedUploads(tmp_path / name, artifacts))

    return host("one"), host("two")


def test_a_table_of_one_host_is_every_hosts(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    table = one.upload()
    assert two.store().list() == (table,)
    assert two.copies() == [], "a table was fetched to be listed"
    assert two.store().get(table.id) == table
    assert two.copies() == [table.id]
    assert one.upload() == table
    assert two.upload().id == table.id
    assert sorted(two.shared.ids()) == [table.id]


def test_workspaces_see_nothing_of_one_another_here_either(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    table = one.upload(workspace="wsp_1")
    assert two.store().list() == ()
    with pytest.raises(NotFoundError):
        two.store().get(table.id)
    with pytest.raises(NotFoundError):
        two.store().delete(table.id)
    assert two.store("wsp_1").list() == (table,)


def test_a_table_that_is_deleted_is_gone_everywhere(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    table, other = one.upload(), one.upload(TEXT + b"99,1\n")
    two.store().get(table.id)
    two.store().get(other.id)
    one.store().delete(table.id)
    assert one.artifacts.folders("uploads") == [other.id]
    assert two.store().list() == (other,)
    two.shared.tidy()
    assert two.copies() == [other.id]
    one.store().delete(other.id)
    with pytest.raises(NotFoundError):
        two.store().get(other.id)
    assert two.copies() == [], "the copy of a table that was deleted elsewhere stayed"
    assert two.upload().id == table.id
    assert one.store().get(table.id).title == "t"


def test_tables_from_before_there_was_a_store_still_work(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    table = upload_csv(one.data, "default", io.BytesIO(TEXT))
    one.shared.tidy()
    assert one.store().list() == (table,)
    assert one.artifacts.folders("uploads") == []
    assert one.store().get(table.id) == table
    assert two.store().list() == (table,)
    assert two.store().get(table.id) == table


@pytest.mark.parametrize("dataset", ["bare", "object"])
def test_who_trains_has_the_table_first(hosts: tuple[Host, Host], dataset: str) -> None:
    one, two = hosts
    table = one.upload()
    spec: Any = table.id if dataset == "bare" else {"name": table.id, "rows": 20}
    have_upload(spec, two.shared)
    assert two.copies() == [table.id]
    for nothing in ("digits", {"name": "diamonds"}, None, {"name": "dts_" + "0" * 24}, {}):
        have_upload(nothing, two.shared)
    assert two.copies() == [table.id]


def test_a_copy_that_is_not_what_was_stored_is_not_kept(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    one, two = hosts
    table = one.upload()
    (tmp_path / "damaged").write_bytes(b"damaged")
    two.artifacts.put(f"uploads/{table.id}/table.npz", tmp_path / "damaged")
    with pytest.raises(StoreUnreachableError, match="is not the file that was put there"):
        two.store().get(table.id)
    assert two.copies() == []
    (tmp_path / "damaged").write_text(json.dumps({"table.npz": "0"}))
    two.artifacts.put(f"uploads/{table.id}/stored.json", tmp_path / "damaged")
    with pytest.raises(StoreUnreachableError, match=r"stored\.json .* upload the table again"):
        two.store().get(table.id)


def test_what_cannot_be_stored_is_not_kept_here(hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = hosts

    def away(*_: object) -> None:
        raise StoreUnreachableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(one.artifacts, "put", away)
        with pytest.raises(StoreUnreachableError):
            one.upload()
    assert one.copies() == []
    table = one.upload()
    monkeypatch.setattr(one.artifacts, "remove", lambda _names: None)
    with pytest.raises(StoreUnreachableError, match="could not be removed"):
        one.store().delete(table.id)
    assert one.store().list() == (table,)


def test_the_folder_of_the_home_is_shared_by_nobody(tmp_path: Path) -> None:
    assert shared_uploads(Settings(home=tmp_path)) is None
    assert shared_uploads(Settings(home=tmp_path, artifacts_url=f"{tmp_path}/artifacts")) is None
    assert shared_uploads(Settings(home=tmp_path, artifacts_url=f"file://{tmp_path}/other")) is not None
