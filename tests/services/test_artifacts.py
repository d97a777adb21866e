"""Files stay inside their store, apart by attempt, and are known by their digest: in a folder as in a bucket."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.artifacts import folder as folder_module
from services.artifacts.bucket import BucketArtifacts
from services.artifacts.chosen import artifacts_of
from services.artifacts.folder import FolderArtifacts
from services.artifacts.interface import Artifacts, StoreUnreachableError, StoreUnusableError
from services.artifacts.objects import Objects
from services.errors import GoneError
from services.settings import Settings
from tests.support.s3_server import BUCKET, SECRET_KEY, S3Server

Host = Callable[[str], Artifacts]
"""The one store of the test, as a host of this name has it."""
NAME = "cohorts/coh_a/a1/epoch-3.npz"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["folder", "memory", "s3"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "folder":
        yield lambda _name: FolderArtifacts(tmp_path / "shared")
        return
    if request.param == "memory":
        from obstore.store import MemoryStore

        store = MemoryStore()
        yield lambda name: BucketArtifacts(Objects("memory://", store), tmp_path / name)
        return
    request.getfixturevalue("s3_server")
    yield lambda name: BucketArtifacts(Objects(f"s3://{BUCKET}/of/the/lab"), tmp_path / name)


@pytest.fixture
def bucket(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketArtifacts:
    """A bucket whose server may fail; between two looks and two tries there is no rest."""
    for name in ("GOOD_SECONDS", "BAD_SECONDS", "REST_SECONDS"):
        monkeypatch.setattr(f"services.artifacts.bucket.{name}", 0.0)
    return BucketArtifacts(Objects(f"s3://{BUCKET}"), tmp_path / "scratch")


def publish(store: Artifacts, content: bytes, epoch: int = 3, attempt: int = 1) -> str:
    file = store.attempt_folder("coh_a", attempt) / f"epoch-{epoch}.npz"
    file.write_bytes(content)
    return store.publish(file)


def test_what_one_host_publishes_another_reads(host: Host) -> None:
    one, other = host("one"), host("other")
    assert one.problem() is None
    assert one.attempt_folder("coh_a", 1).stat().st_mode & 0o077 == 0
    assert publish(one, b"state") == NAME
    condition, path = other.fetch(NAME, sha256(b"state"), "coh_a", 2)
    assert condition == "intact"
    assert path is not None
    assert path.read_bytes() == b"state"
    assert other.fetch(NAME, sha256(b"other"), "coh_a", 2) == ("damaged", None)
    assert other.fetch("cohorts/coh_a/a1/none.npz", "0" * 64, "coh_a", 2) == ("missing", None)
    assert other.fetch("../epoch-3.npz", sha256(b"state"), "coh_a", 2) == ("damaged", None)
    assert other.holds(NAME)
    assert not other.holds(f"{NAME}.tmp")
    with other.open(NAME) as file:
        other.remove([NAME, NAME])
        assert file.read() == b"state"
    assert not one.holds(NAME)
    with pytest.raises(FileNotFoundError):
        one.open(NAME)


def test_a_cohort_goes_with_all_that_it_has_written(host: Host) -> None:
    one, other = host("one"), host("other")
    assert one.cohorts() == []
    assert one.age("coh_a") == 0.0
    publish(one, b"a", epoch=1)
    publish(one, b"b", epoch=2, attempt=2)
    assert other.cohorts() == ["coh_a"]
    assert other.age("coh_a") < 100
    assert other.folders("cohorts") == ["coh_a"]
    other.remove_cohort("coh_a")
    one.remove_cohort("coh_a")
    one.remove_cohort("coh_a")
    assert one.cohorts() == other.cohorts() == []


def test_a_file_is_put_whole_and_replaced(host: Host, tmp_path: Path) -> None:
    store, source = host("one"), tmp_path / "source"
    for content in (b"first", b"second"):
        source.write_bytes(content)
        store.put("uploads/dts_1/table.npz", source)
        with store.open("uploads/dts_1/table.npz") as file:
            assert file.read() == content
        assert source.read_bytes() == content
    assert store.folders("uploads") == ["dts_1"]
    store.remove(["uploads/dts_1/table.npz"])
    assert store.folders("uploads") == []


def test_a_store_is_known_by_what_the_first_of_all_hosts_made_up(host: Host, tmp_path: Path) -> None:
    one, other = host("one"), host("other")
    assert other.known_id() is None
    store_id = one.identity()
    assert host("other").known_id() == store_id
    assert other.identity() == store_id
    assert len(store_id) == 32
    assert FolderArtifacts(tmp_path / "another").identity() != store_id


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "cohorts/../../x"])
def test_no_name_leads_out(host: Host, tmp_path: Path, name: str) -> None:
    store = host("one")
    for act in (store.open, store.holds, lambda name: store.put(name, tmp_path / "source")):
        with pytest.raises(GoneError):
            act(name)
    (tmp_path / "elsewhere").mkdir()
    stranger = tmp_path / "elsewhere" / "epoch-1.npz"
    stranger.touch()
    with pytest.raises(ValueError, match="subpath"):
        store.publish(stranger)
    assert stranger.exists()


def test_a_link_does_not_lead_out_either(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path / "home")
    folder = artifacts.attempt_folder("coh_a", 1)
    (folder / "link").symlink_to("/etc")
    with pytest.raises(GoneError):
        artifacts.absolute("cohorts/coh_a/a1/link/passwd")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path / "artifacts")
    assert artifacts.problem() is None
    assert list((tmp_path / "artifacts" / "cohorts").iterdir()) == []
    shutil.rmtree(tmp_path / "artifacts")
    (tmp_path / "artifacts").write_text("a file in the way")
    problem = artifacts.problem()
    assert problem is not None
    assert f"the artifacts folder {tmp_path}/artifacts/cohorts cannot be written" in problem
    artifacts.remove([NAME])
    with pytest.raises(StoreUnreachableError, match="artifacts cannot be"):
        artifacts.identity()


def test_a_full_disk_is_no_such_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.tempfile, "TemporaryFile", full)
    assert FolderArtifacts(tmp_path).problem() is None


def test_a_folder_without_links_has_an_id_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    store_id = FolderArtifacts(tmp_path).identity()
    assert FolderArtifacts(tmp_path).identity() == store_id
    assert [path.name for path in tmp_path.iterdir()] == ["store-id"]
    (tmp_path / "store-id").write_text("")
    with pytest.raises(StoreUnreachableError, match="remove it"):
        FolderArtifacts(tmp_path).identity()


def test_nothing_is_left_on_the_host_when_an_attempt_is_over(bucket: BucketArtifacts, tmp_path: Path) -> None:
    name = publish(bucket, b"state")
    assert list(bucket.attempt_folder("coh_a", 1).iterdir()) == []
    assert bucket.fetch(name, sha256(b"state"), "coh_a", 2)[0] == "intact"
    for attempt in (1, 2):
        bucket.end_attempt("coh_a", attempt)
    assert list((tmp_path / "scratch" / "cohorts").iterdir()) == []


def test_large_files_go_in_parts(bucket: BucketArtifacts, s3_server: S3Server) -> None:
    content = bytes(range(256)) * 40_000
    name = publish(bucket, content)
    assert s3_server.asked["POST"] > 1, "it went as one"
    assert bucket.fetch(name, sha256(content), "coh_a", 2)[0] == "intact"


def test_a_bucket_that_fails_keeps_no_file_and_loses_none(bucket: BucketArtifacts, s3_server: S3Server) -> None:
    name = publish(bucket, b"state", epoch=1)
    s3_server.failing = {"PUT"}
    with pytest.raises(StoreUnreachableError, match="503 Service Unavailable"):
        publish(bucket, b"newer", epoch=2)
    assert s3_server.asked["PUT"] > 2, "it was tried once"
    assert s3_server.names("epoch") == [name]
    assert list(bucket.attempt_folder("coh_a", 1).iterdir()) == []
    s3_server.failing = {"GET"}
    with pytest.raises(StoreUnreachableError):
        bucket.fetch(name, sha256(b"state"), "coh_a", 2)
    s3_server.failing = set()
    assert bucket.fetch(name, sha256(b"state"), "coh_a", 2)[0] == "intact"


def test_after_a_failure_the_next_is_not_even_tried(
    bucket: BucketArtifacts, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.artifacts.bucket.REST_SECONDS", 1_000.0)
    s3_server.failing = {"PUT"}
    with pytest.raises(StoreUnreachableError):
        publish(bucket, b"state")
    s3_server.failing.clear()
    with pytest.raises(StoreUnreachableError, match="a moment ago"):
        publish(bucket, b"state")
    assert s3_server.names("epoch") == []


def test_a_file_that_did_not_arrive_whole_is_not_published(
    bucket: BucketArtifacts, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_server, "keep", 3)
    with pytest.raises(StoreUnreachableError, match="3 bytes there and 5 here"):
        publish(bucket, b"state")


def test_a_bucket_that_answers_nothing_is_waited_for_in_vain_for_a_while(
    bucket: BucketArtifacts, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(bucket, b"state", epoch=1)
    with s3_server.lock:  # connections are taken, and that is all
        monkeypatch.setattr("services.artifacts.objects.REQUEST_SECONDS", 0.3)
        with pytest.raises(StoreUnreachableError, match="does not answer in time: put cohorts/coh_a/a1/epoch-3"):
            publish(bucket, b"state")
        with pytest.raises(StoreUnreachableError, match="does not answer in time: get"):
            bucket.fetch(name, sha256(b"state"), "coh_a", 2)
        monkeypatch.setattr("services.artifacts.objects.REQUEST_SECONDS", 1_000.0)
        with pytest.raises(StoreUnreachableError, match="was given up"):
            bucket.fetch(name, sha256(b"state"), "coh_a", 2, lambda: True)


def test_a_bucket_says_why_it_cannot_be_used(bucket: BucketArtifacts, s3_server: S3Server, tmp_path: Path) -> None:
    assert bucket.problem() is None
    s3_server.stop()
    problem = bucket.problem()
    assert problem is not None
    assert f"the artifacts cannot be stored: s3://{BUCKET}: " in problem
    s3_server.start()
    assert bucket.problem() is None
    s3_server.failing, s3_server.status = {"PUT"}, 403
    assert bucket.problem() is None, "what could be written once is only read"
    for url, wrong in ((f"s3://{BUCKET}", "403 Forbidden: Failing"), ("s3://nobodys", "404 Not Found: NoSuchBucket")):
        if "NoSuchBucket" in wrong:
            s3_server.failing = set()
        elsewhere = BucketArtifacts(Objects(url), tmp_path / "elsewhere")
        problem = elsewhere.problem()
        assert problem is not None
        assert wrong in problem
        assert "Authorization" not in problem
        assert "Signature" not in problem
        assert SECRET_KEY not in problem


def test_credentials_may_come_as_files(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (tmp_path / name).write_text(f"{s3_server.environment[name]}\n")
        monkeypatch.delenv(name)
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    assert Objects(f"s3://{BUCKET}").folders("cohorts") == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreUnusableError, match=r"AWS_SECRET_ACCESS_KEY_FILE names .*none', which cannot be read"):
        Objects(f"s3://{BUCKET}")


def test_the_settings_name_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    assert artifacts_of(Settings(home=home)).place == f"{home}/artifacts"
    for url in (f"file://{tmp_path}/sha%20red", f"{tmp_path}/sha red", f"{tmp_path}/x/../sha red"):
        assert artifacts_of(Settings(home=home, artifacts_url=url)).place == f"{tmp_path}/sha red"
    assert artifacts_of(Settings(home=home, artifacts_url="s3://lab/a/")).place == "s3://lab/a"
    with pytest.raises(StoreUnusableError, match=r"FIRSTLIGHT_ARTIFACTS_URL=az://c/p cannot be used: .*Account"):
        artifacts_of(Settings(home=home, artifacts_url="az://c/p"))
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreUnusableError, match=r"pip install 'firstlight\[objects\]'"):
        artifacts_of(Settings(home=home, artifacts_url="gs://lab"))
