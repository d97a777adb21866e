"""The archive file: whole or not there, and never read for more than it says."""

import io
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backup.archive import Archive, ArchiveWriter
from services.backup.manifest import MANIFEST, SQLITE_FILE, BackupError, Manifest, is_member_name

UPLOAD = f"uploads/dts_{'a' * 24}/table.npz"
CHECKPOINT = "artifacts/cohorts/coh_0f/a1/epoch-3-batches-12.npz"


def written(path: Path, **changes: object) -> Path:
    with ArchiveWriter(path) as archive:
        archive.copy(SQLITE_FILE, io.BytesIO(b"rows" * 50_000))
        archive.copy(CHECKPOINT, io.BytesIO(b"state"), compressed=False)
        manifest = {
            "format": 1,
            "firstlight": "9.9",
            "database": "sqlite",
            "revision": "0001",
            "created_at": datetime(2026, 1, 2, tzinfo=UTC),
            "members": archive.members,
        }
        archive.finish(Manifest.model_validate({**manifest, **changes}))
    return path


def rewritten(path: Path, **members: bytes | None) -> Path:
    """The same archive with members replaced, added or (None) taken away."""
    with zipfile.ZipFile(path) as old:
        content: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
    content.update(members)
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            if data is not None:
                new.writestr(name, data)
    return path


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = written(tmp_path / "b.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]
    assert path.stat().st_mode & 0o077 == 0
    with Archive(path) as archive:
        archive.verify()
        assert b"".join(archive.pieces(CHECKPOINT)) == b"state"
        archive.extract(SQLITE_FILE, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"rows" * 50_000


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.write_text("mine")
    with pytest.raises(BackupError, match=r"b\.zip is there already"):
        written(path)
    path.unlink()
    with ArchiveWriter(path) as archive:
        with pytest.raises(BackupError, match="another process is writing"):
            ArchiveWriter(path)
        path.write_text("mine")
        manifest = Manifest(
            format=1, firstlight="1", database="sqlite", revision="1", created_at=datetime.now(UTC), members={}
        )
        with pytest.raises(BackupError, match=r"b\.zip is there by now"):
            archive.finish(manifest)
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]


def test_what_breaks_off_leaves_nothing_and_what_was_killed_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with pytest.raises(ValueError, match="is named"), ArchiveWriter(path) as archive:
        archive.copy("anything", io.BytesIO(b"rows"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".b.zip.part").write_bytes(b"left by a killed process" * 100_000)
    with Archive(written(path)) as archive:
        archive.verify()
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "b.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"state")] ^= 1
    path.write_bytes(content)
    with Archive(path) as archive, pytest.raises(BackupError, match=f"damaged in {CHECKPOINT}"):
        archive.verify()
    path.unlink()
    rewritten(written(path), **{CHECKPOINT: b"stage"})
    with Archive(path) as archive, pytest.raises(BackupError, match=f"{CHECKPOINT}: its SHA-256"):
        archive.verify()
    rewritten(path, **{CHECKPOINT: b"state and more"})
    with Archive(path) as archive, pytest.raises(BackupError, match=f"damaged in {CHECKPOINT}"):
        archive.verify()


@given(st.data())
def test_no_damage_passes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes are changed or cut off: it is refused with a sentence, or what is read is what was written."""
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(written(folder / "b.zip").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    (folder / "b.zip").write_bytes(content)
    read: list[bytes] = []
    with suppress(BackupError), Archive(folder / "b.zip") as archive:
        read = [b"".join(archive.pieces(name)) for name in (SQLITE_FILE, CHECKPOINT)]
    assert read in ([], [b"rows" * 50_000, b"state"])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({MANIFEST: None}, "it has no manifest.json"),
        ({MANIFEST: b"{}"}, "of another kind: format: Field required"),
        ({CHECKPOINT: None}, "does not hold what its manifest says"),
        ({UPLOAD: b"a guest"}, "does not hold what its manifest says"),
        ({"../../etc/cron.d/x": b"a guest"}, r"\.\./\.\./etc/cron\.d/x"),
    ],
)
def test_what_is_no_backup_of_ours_is_refused(tmp_path: Path, members: dict[str, bytes | None], words: str) -> None:
    with pytest.raises(BackupError, match=words):
        Archive(rewritten(written(tmp_path / "b.zip"), **members))


def test_other_files_and_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be read: No such file"):
        Archive(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(BackupError, match="is no backup, or was cut off"):
        Archive(tmp_path / "text.zip")
    with pytest.raises(BackupError, match=r"has format 2 and this version reads 1: .* Firstlight 9\.9"):
        Archive(written(tmp_path / "new.zip", format=2))


@pytest.mark.parametrize("name", [SQLITE_FILE, UPLOAD, CHECKPOINT, "database/epoch_rows.copy"])
def test_names_of_ours(name: str) -> None:
    assert is_member_name(name)
    for wrong in (
        f"/{name}",
        f"../{name}",
        f"{name}/..",
        f"{name}\n",
        name.upper(),
        name.replace("/", "//"),
        f"x{name}",
    ):
        assert not is_member_name(wrong)
