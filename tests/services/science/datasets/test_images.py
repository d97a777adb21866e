"""The official binary layouts, written byte by byte by the test."""

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from services.science.datasets import DATASETS, DatasetInvalid, SourceFile, ensure, images, plan_rows, prepare
from services.science.datasets.files import Unpacked
from services.science.datasets.images import Cifar10, FashionMnist, Mnist, extract_members, read_cifar, read_idx

RECORD = 3073
SMALL = tuple(SourceFile(source.path, 4 * RECORD) for source in Cifar10.files)


def cifar_records(rows: int, seed: int) -> tuple[bytes, Any, Any]:
    """Records as their authors describe them: a label, then the red, green and blue planes row by row."""
    draw = np.random.Generator(np.random.Philox(seed))
    x = draw.integers(0, 256, (rows, 3, 32, 32), dtype=np.uint8)
    y = draw.integers(0, 10, rows)
    content = b"".join(
        bytes([label]) + b"".join(plane.tobytes() for plane in image) for image, label in zip(x, y, strict=True)
    )
    return content, x, y


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six batches of four images instead of 10,000."""
    monkeypatch.setattr(Cifar10, "files", SMALL)
    monkeypatch.setattr(Cifar10, "rows", 20)
    monkeypatch.setattr(Cifar10, "test_rows", 4)
    return {source.path: cifar_records(4, i)[0] for i, source in enumerate(SMALL)}


def packed(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_a_record_is_a_label_and_three_planes(tmp_path: Path) -> None:
    content, x, y = cifar_records(5, 1)
    (tmp_path / "batch.bin").write_bytes(content)
    found_x, found_y = read_cifar(tmp_path / "batch.bin")
    np.testing.assert_array_equal(found_x, x)
    np.testing.assert_array_equal(found_y, y)
    (tmp_path / "batch.bin").write_bytes(content[:-1])
    with pytest.raises(DatasetInvalid, match="not a multiple of 3073"):
        read_cifar(tmp_path / "batch.bin")
    (tmp_path / "batch.bin").write_bytes(content[: 2 * RECORD] + b"\x0a" + content[2 * RECORD + 1 :])
    with pytest.raises(DatasetInvalid, match="label 10 at record 2"):
        read_cifar(tmp_path / "batch.bin")


def test_files_put_there_by_hand_are_used_and_said_to_be_unverified(
    small_cifar: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in small_cifar.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    choice = Cifar10(standardize=False, split="tail")
    data = prepare(choice, tmp_path)
    assert data.x_train.shape == (20, 3, 32, 32)
    assert data.x_validation.shape == (4, 3, 32, 32)
    np.testing.assert_array_equal(data.x_train[4:8], (cifar_records(4, 1)[1] / 255).astype(np.float32))
    np.testing.assert_array_equal(data.y_validation, cifar_records(4, 5)[2])
    assert choice.notes(tmp_path) == (images.UNVERIFIED,)


def test_the_archive_is_fetched_checked_and_extracted(
    small_cifar: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed({"cifar-10-batches-bin/readme.html": b"hello", **small_cifar})
    source = SourceFile("cifar-10-binary.tar.gz", len(archive), f"md5:{hashlib.md5(archive).hexdigest()}")
    monkeypatch.setattr(images, "CIFAR_ARCHIVE", source)
    (tmp_path / source.path).write_bytes(archive)
    choice = Cifar10()
    file = ensure(choice, tmp_path, download=True)
    folder = tmp_path / "cifar-10-batches-bin"
    assert {path.name for path in folder.iterdir()} == {Path(name).name for name in small_cifar} | {"origin.txt"}
    data = prepare(choice, tmp_path)
    assert choice.notes(tmp_path) == ()
    assert data.digest == file.digest
    (folder / "data_batch_3.bin").write_bytes(cifar_records(4, 9)[0])
    later = (folder / "origin.txt").stat().st_mtime + 1
    os.utime(folder / "data_batch_3.bin", (later, later))
    assert choice.notes(tmp_path) == (images.UNVERIFIED,)
    (folder / "test_batch.bin").unlink()
    assert choice.notes(tmp_path) == ()


def test_a_wrong_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"not the archive")
    with pytest.raises(DatasetInvalid, match="has 15 bytes instead of 170052171"):
        ensure(Cifar10(), tmp_path, download=True)


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "holds no d/a.bin"),
        ({"d/a.bin": b"123"}, "not a plain file of 4 bytes"),
        ({"d/a.bin": link("d/a.bin", "/etc/passwd")}, "not a plain file"),
    ],
)
def test_only_what_is_expected_leaves_an_archive(tmp_path: Path, members: dict[str, Any], reason: str) -> None:
    (tmp_path / "x.tar.gz").write_bytes(packed({"../outside.bin": b"1234", "d/other.bin": b"1234", **members}))
    with pytest.raises(DatasetInvalid, match=reason):
        extract_members(tmp_path / "x.tar.gz", tmp_path / "data", (SourceFile("d/a.bin", 4),))
    assert not (tmp_path / "outside.bin").exists()
    assert not (tmp_path / "data" / "d" / "other.bin").exists()


def idx(array: Any) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def test_idx_files_are_read_and_checked(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(path, (2, 3, 4)), array)
    for content, shape in ((idx(array), (3, 3, 4)), (idx(array) + b"x", (2, 3, 4)), (idx(array)[:-1], (2, 3, 4))):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(DatasetInvalid, match="not an IDX file"):
            read_idx(path, shape)
    path.write_bytes(b"no gzip")
    with pytest.raises(DatasetInvalid, match="not a readable gzip file"):
        read_idx(path, (2, 3, 4))
    path.write_bytes(gzip.compress(idx(array))[:-9])
    with pytest.raises(DatasetInvalid, match="not a readable gzip file"):
        read_idx(path, (2, 3, 4))
    damaged = bytearray(gzip.compress(idx(array)))
    damaged[len(damaged) // 2] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DatasetInvalid, match="not a readable gzip file"):
        read_idx(path, (2, 3, 4))


def test_an_idx_set_is_four_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.Generator(np.random.Philox(2))
    arrays = [
        draw.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        draw.integers(0, 10, 30, dtype=np.uint8),
        draw.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        draw.integers(0, 10, 6, dtype=np.uint8),
    ]
    monkeypatch.setattr(FashionMnist, "rows", 30)
    monkeypatch.setattr(FashionMnist, "test_rows", 6)
    monkeypatch.setattr(FashionMnist, "files", tuple(SourceFile(s.path) for s in FashionMnist.files))
    for source, array in zip(FashionMnist.files, arrays, strict=True):
        (tmp_path / source.path).parent.mkdir(exist_ok=True)
        (tmp_path / source.path).write_bytes(gzip.compress(idx(array)))
    data = prepare(FashionMnist(split="tail", train_size=10), tmp_path)
    level = arrays[0][:10] / 255
    np.testing.assert_allclose(data.x_train[:, 0], (level - level.mean()) / level.std(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(data.y_validation, arrays[3])
    few = FashionMnist(validation_size=4, train_size=7)
    part = prepare(few, tmp_path)
    assert (len(part.x_train), len(part.x_validation)) == plan_rows(few) == (7, 4)
    np.testing.assert_array_equal(part.y_validation, arrays[3][:4])
    with pytest.raises(ValidationError, match="validation_size 7 is more than the 6 test rows of 'fashion_mnist'"):
        FashionMnist(validation_size=7)
    bad = arrays[3].copy()
    bad[4] = 12
    (tmp_path / FashionMnist.files[3].path).write_bytes(gzip.compress(idx(bad)))
    with pytest.raises(DatasetInvalid, match="label 12 at record 4"):
        prepare(FashionMnist(), tmp_path)


@pytest.mark.parametrize("member", [FashionMnist, Mnist])
def test_an_idx_set_is_known_by_its_bytes_whatever_wraps_them(
    member: type[FashionMnist] | type[Mnist], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.Generator(np.random.Philox(6))
    shapes = ((30, 28, 28), (30,), (6, 28, 28), (6,))
    contents = [idx(draw.integers(0, 10, shape, dtype=np.uint8)) for shape in shapes]
    for published, shape in zip(member.files, ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)), strict=True):
        assert published.unpacked is not None
        assert published.unpacked.size == 4 + 4 * len(shape) + np.prod(shape)
    unpacked = [Unpacked(len(content), hashlib.sha256(content).hexdigest()) for content in contents]
    small = [replace(source, unpacked=held) for source, held in zip(member.files, unpacked, strict=True)]
    monkeypatch.setattr(member, "rows", 30)
    monkeypatch.setattr(member, "test_rows", 6)
    monkeypatch.setattr(member, "files", tuple(small))
    digests = set()
    for wrapper, level in (("plain", 9), ("other", 1)):
        for source, content in zip(small, contents, strict=True):
            path = tmp_path / wrapper / source.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(content, level))
        digests.add(prepare(member(), tmp_path / wrapper).digest)
    lines = "".join(f"{held.sha256}  {Path(s.path).name}\n" for held, s in zip(unpacked, small, strict=True))
    assert digests == {hashlib.sha256(lines.encode()).hexdigest()}
    (tmp_path / "other" / small[2].path).write_bytes(gzip.compress(contents[2][:-1] + b"\xff"))
    with pytest.raises(DatasetInvalid, match=r"t10k-images-idx3-ubyte\.gz holds data of sha256"):
        prepare(member(), tmp_path / "other")


def test_published_sizes() -> None:
    assert Cifar10.size_bytes == 60_000 * RECORD
    assert {name: DATASETS[name].row_count(DATASETS[name]()) for name in ("cifar10", "mnist", "fashion_mnist")} == {
        "cifar10": (50_000, 10_000),
        "mnist": (60_000, 10_000),
        "fashion_mnist": (60_000, 10_000),
    }
