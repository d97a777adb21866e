"""Files stay inside the artifact folder, apart by attempt, and are known by their digest."""

import hashlib
import shutil
from pathlib import Path

import pytest

from services import artifacts as artifacts_module
from services.artifacts import Artifacts
from services.errors import GoneError


def test_paths_go_in_and_come_out(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    one, two = artifacts.attempt_folder("coh_a", 1), artifacts.attempt_folder("coh_a", 2)
    assert one != two
    assert one.stat().st_mode & 0o077 == 0
    file = one / "epoch-3.npz"
    file.write_bytes(b"state")
    relative = artifacts.relative(file)
    assert relative == "cohorts/coh_a/a1/epoch-3.npz"
    assert artifacts.absolute(relative) == file
    digest = hashlib.sha256(b"state").hexdigest()
    assert artifacts.condition(relative, digest) == "intact"
    assert artifacts.condition(relative, hashlib.sha256(b"other").hexdigest()) == "damaged"
    assert artifacts.condition("cohorts/coh_a/a1/none.npz", "0" * 64) == "missing"
    assert artifacts.condition("../epoch-3.npz", digest) == "damaged"
    assert Artifacts(tmp_path / "another").condition(relative, digest) == "missing"
    artifacts.remove([relative, relative])
    assert not file.exists()
    assert artifacts.cohorts() == ["coh_a"]
    assert artifacts.age("coh_a") < 100
    artifacts.remove_cohort("coh_a")
    artifacts.remove_cohort("coh_a")
    assert artifacts.cohorts() == []


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "cohorts/../../x"])
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    artifacts = Artifacts(tmp_path / "home")
    with pytest.raises(GoneError):
        artifacts.absolute(path)
    with pytest.raises(ValueError, match="subpath"):
        artifacts.relative(tmp_path / "elsewhere" / "epoch-1.npz")


def test_a_link_does_not_lead_out_either(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "home")
    folder = artifacts.attempt_folder("coh_a", 1)
    (folder / "link").symlink_to("/etc")
    with pytest.raises(GoneError):
        artifacts.absolute("cohorts/coh_a/a1/link/passwd")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    assert artifacts.problem() is None
    assert list((tmp_path / "artifacts" / "cohorts").iterdir()) == []
    shutil.rmtree(tmp_path / "artifacts")
    (tmp_path / "artifacts").write_text("a file in the way")
    told = artifacts.problem()
    assert told is not None
    assert f"the artifacts folder {tmp_path}/artifacts/cohorts cannot be written" in told
    artifacts.remove(["cohorts/coh_a/a1/epoch-1.npz"])


def test_a_full_disk_is_no_such_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifacts_module.tempfile, "TemporaryFile", full)
    assert Artifacts(tmp_path).problem() is None


def test_an_empty_home_has_no_cohorts(tmp_path: Path) -> None:
    assert Artifacts(tmp_path / "none").cohorts() == []
