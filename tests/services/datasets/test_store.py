"""Uploaded tables on disk: whole, named by their content, and checked when read."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from services.datasets import store
from services.datasets.store import UploadedTable, UploadStore
from services.datasets.uploads import upload_csv
from services.errors import BusyError, DatasetInvalidError, GoneError, NotFoundError
from services.science.datasets import DatasetChoice, DatasetInvalid, DatasetUnavailable, ensure, prepare
from services.science.datasets.csv_table import CsvOptions

TEXT = b"x,kind,y\n" + b"".join(b"%d,%s,%d.5\n" % (i, b"pine" if i % 3 else b"oak", 2 * i) for i in range(40))


@pytest.fixture
def table(tmp_path: Path) -> UploadedTable:
    return upload_csv(tmp_path, "default", io.BytesIO(TEXT), title="trees")


def choice_of(table: UploadedTable, **more: Any) -> Any:
    return TypeAdapter(DatasetChoice).validate_python({"name": table.id, **table.facts(), **more})


def test_an_uploaded_table_trains_like_any_other(table: UploadedTable, tmp_path: Path) -> None:
    assert (table.rows, table.inputs, table.outputs, table.task) == (40, 3, 1, "regression")
    assert table.features == ("x", "kind=oak", "kind=pine")
    data = prepare(choice_of(table, split="tail", standardize=False), tmp_path)
    np.testing.assert_array_equal(data.x_train[:, 0], np.arange(32))
    np.testing.assert_array_equal(data.y_validation[:, 0], 2 * np.arange(32, 40) + 0.5)
    assert data.digest == table.digest == ensure(choice_of(table), tmp_path, download=True).digest
    assert any("ordered" in note for note in choice_of(table, split="tail").notes(tmp_path))
    assert choice_of(table).notes(tmp_path) == ()


def test_the_same_content_is_stored_once(table: UploadedTable, tmp_path: Path) -> None:
    again = upload_csv(tmp_path, "default", io.BytesIO(TEXT.replace(b"\n", b"\r\n")), title="other")
    assert again.notes == (*table.notes, "the same table was stored before and keeps its title 'trees'")
    assert again == table.model_copy(update={"notes": again.notes})
    assert (
        upload_csv(tmp_path, "default", io.BytesIO(TEXT), title="trees")
        == upload_csv(tmp_path, "default", io.BytesIO(TEXT))
        == table
    )
    other = upload_csv(tmp_path, "default", io.BytesIO(TEXT), CsvOptions(drop=("kind",)))
    assert other.id != table.id
    store = UploadStore(tmp_path, "default")
    assert [item.id for item in store.list()] == [other.id, table.id]
    assert store.get(table.id) == table
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {table.id, other.id}


def test_the_same_table_in_another_file_is_told_as_that_file_was_read(table: UploadedTable, tmp_path: Path) -> None:
    again = upload_csv(tmp_path, "default", io.BytesIO(TEXT.replace(b",", b"\t")))
    assert (again.id, again.created_at, again.options.delimiter) == (table.id, table.created_at, "\t")
    assert any("divided by tabs" in note for note in again.notes)
    assert UploadStore(tmp_path, "default").get(table.id) == table


def test_a_table_that_was_stored_before_columns_were_told_is_still_read(table: UploadedTable, tmp_path: Path) -> None:
    path = tmp_path / "uploads" / table.id / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    del manifest["columns"]
    before = ("target", "task", "delimiter", "missing", "categorical", "drop", "text_columns")
    manifest["options"] = {name: manifest["options"][name] for name in before}
    path.write_text(json.dumps(manifest), "utf-8")
    old_table = UploadStore(tmp_path, "default").get(table.id)
    assert (old_table.columns, old_table.facts(), old_table.features) == ((), table.facts(), table.features)


def test_a_removed_table_is_not_found(table: UploadedTable, tmp_path: Path) -> None:
    UploadStore(tmp_path, "default").delete(table.id)
    for act in (UploadStore(tmp_path, "default").get, UploadStore(tmp_path, "default").delete):
        for name in (table.id, "../uploads", "dts_x", ""):
            with pytest.raises(NotFoundError):
                act(name)
    assert UploadStore(tmp_path, "default").list() == ()
    with pytest.raises(DatasetUnavailable, match="upload it again"):
        prepare(choice_of(table), tmp_path)


def test_a_damaged_table_is_refused(table: UploadedTable, tmp_path: Path) -> None:
    path = tmp_path / "uploads" / table.id / "table.npz"
    with np.load(path, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    np.savez(path, x=x, y=y + 1)
    with pytest.raises(DatasetInvalid, match="has digest"):
        prepare(choice_of(table), tmp_path)
    np.savez(path, x=np.array([{}], dtype=object), y=y)
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        prepare(choice_of(table), tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetInvalid, match="cannot be read"):
        prepare(choice_of(table), tmp_path)
    path.unlink()
    with pytest.raises(GoneError):
        UploadStore(tmp_path, "default").get(table.id)


def test_a_damaged_manifest_is_said(table: UploadedTable, tmp_path: Path) -> None:
    path = tmp_path / "uploads" / table.id / "manifest.json"
    for content in ("{", json.dumps({"id": table.id})):
        path.write_text(content)
        with pytest.raises(DatasetInvalidError, match=table.id):
            UploadStore(tmp_path, "default").get(table.id)
    assert UploadStore(tmp_path, "default").list() == ()
    path.unlink()
    with pytest.raises(GoneError):
        UploadStore(tmp_path, "default").get(table.id)


def test_the_number_of_tables_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_UPLOADS", 1)
    upload_csv(tmp_path, "default", io.BytesIO(TEXT))
    upload_csv(tmp_path, "default", io.BytesIO(TEXT))
    with pytest.raises(BusyError, match="1 uploaded tables"):
        upload_csv(tmp_path, "default", io.BytesIO(TEXT), CsvOptions(drop=("kind",)))


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        upload_csv(tmp_path, "default", io.BytesIO(TEXT))
    assert list((tmp_path / "uploads").iterdir()) == []
