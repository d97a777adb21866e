"""Checkpoint files: whole or not at all, and only for whom they were written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.training import checkpoint
from services.training.checkpoint import CheckpointMismatch, Origin, engine_of, read, write

ORIGIN = Origin("spec", "trials", "data", "eager")
STATE = {"steps": np.array([3, 3]), "parameters.dense_0.weight": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)}


def test_a_round_trip_is_bit_equal_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "new", 7, STATE, ORIGIN)
    again = read(file.path, file.sha256, 7, ORIGIN)
    assert again.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["epoch-7.npz"]
    assert file.size == file.path.stat().st_size


def test_the_same_state_makes_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a", 1, STATE, ORIGIN).sha256 == write(tmp_path / "b", 1, STATE, ORIGIN).sha256


@pytest.mark.parametrize("field", ["spec_digest", "trials_digest", "dataset_digest"])
def test_another_origin_is_refused(tmp_path: Path, field: str) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)
    with pytest.raises(CheckpointMismatch, match=field):
        read(file.path, file.sha256, 1, replace(ORIGIN, **{field: "other"}))


def test_another_engine_and_epoch(tmp_path: Path) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)
    assert read(file.path, file.sha256, 1, replace(ORIGIN, engine="native")).keys() == STATE.keys()
    with pytest.raises(CheckpointMismatch, match="epoch"):
        read(file.path, file.sha256, 2, ORIGIN)


def test_damage_is_found(tmp_path: Path) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(bytes(content))
    with pytest.raises(CheckpointMismatch, match="damaged"):
        read(file.path, file.sha256, 1, ORIGIN)
    with pytest.raises(CheckpointMismatch, match="cannot be read"):
        read(tmp_path / "none.npz", file.sha256, 1, ORIGIN)


def test_an_array_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(3))
    sha256 = checkpoint.hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(CheckpointMismatch, match="not a checkpoint"):
        read(path, sha256, 1, ORIGIN)


def test_a_failed_write_leaves_the_last_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, 1, {"steps": np.array([9, 9])}, ORIGIN)
    monkeypatch.undo()
    np.testing.assert_array_equal(read(file.path, file.sha256, 1, ORIGIN)["steps"], STATE["steps"])


def test_the_engine_to_go_on_with(tmp_path: Path) -> None:
    assert engine_of(write(tmp_path, 1, STATE, ORIGIN).path) == "eager"
    assert engine_of(write(tmp_path, 2, STATE, replace(ORIGIN, engine="native")).path) == "auto"
    assert engine_of(tmp_path / "none.npz") == "auto"
