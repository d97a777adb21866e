"""Checkpoint files: whole or not at all, and only for whom they were written."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from services.training import checkpoint
from services.training.checkpoint import CheckpointMismatch, Origin, engine_of, read, write
from services.training.set_down import BATCHES

ORIGIN = Origin("spec", (("arm", 0), ("arm", 1)), "data", "eager")
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


@pytest.mark.parametrize("field", ["spec_digest", "dataset_digest"])
def test_another_origin_is_refused(tmp_path: Path, field: str) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)
    with pytest.raises(CheckpointMismatch, match=field):
        read(file.path, file.sha256, 1, replace(ORIGIN, **{field: "other"}))


def test_other_trials_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, 1, STATE, ORIGIN)
    for trials in ((("arm", 1), ("arm", 0)), (("arm", 0),), (*ORIGIN.trials, ("arm", 2))):
        with pytest.raises(CheckpointMismatch, match="other trials"):
            read(file.path, file.sha256, 1, replace(ORIGIN, trials=trials))


def test_a_part_of_the_cohort_gets_its_own_trials(tmp_path: Path) -> None:
    trials = tuple(("arm", seed) for seed in range(5))
    state = {"steps": np.arange(5), "parameters.dense_0.weight": np.arange(30.0).reshape(5, 2, 3)}
    file = write(tmp_path, 1, state, replace(ORIGIN, trials=trials))
    part = replace(ORIGIN, trials=(trials[1], trials[4]))
    arrays = read(file.path, file.sha256, 1, part, [1, 4])
    assert arrays.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(arrays[name], array[[1, 4]])
    for slots in ([1, 3], [4, 1], [1], [1, 4, 4], [1, 5], [1, -1]):
        with pytest.raises(CheckpointMismatch, match="other trials"):
            read(file.path, file.sha256, 1, part, slots)


def test_a_file_that_names_its_trials_by_a_digest_alone_is_still_read(tmp_path: Path) -> None:
    """As they were written before the parts of a cohort shared them; such a file has no parts."""
    header = {"format": checkpoint.FORMAT, "epoch": 1, **vars(ORIGIN), "trials_digest": ORIGIN.trials_digest}
    del header["trials"]
    path = tmp_path / "epoch-1.npz"
    np.savez(path, **{"__origin__": np.frombuffer(orjson.dumps(header), dtype=np.uint8), **STATE})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read(path, sha256, 1, ORIGIN).keys() == STATE.keys()
    with pytest.raises(CheckpointMismatch, match="other trials"):
        read(path, sha256, 1, replace(ORIGIN, trials=ORIGIN.trials[::-1]))
    with pytest.raises(CheckpointMismatch, match="other trials"):
        read(path, sha256, 1, replace(ORIGIN, trials=ORIGIN.trials[:1]), [0])


def test_a_state_inside_an_epoch_has_a_file_of_its_own(tmp_path: Path) -> None:
    whole = write(tmp_path, 1, STATE, ORIGIN)
    inside = {**STATE, BATCHES: np.array([5, 7]), "epoch.loss": np.array([0.5, 0.25])}
    file = write(tmp_path, 1, inside, ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-1-batches-12.npz", "epoch-1.npz"]
    assert (file.epoch, read(file.path, file.sha256, 1, ORIGIN).keys()) == (1, inside.keys())
    assert read(whole.path, whole.sha256, 1, ORIGIN).keys() == STATE.keys()
    with np.load(file.path, allow_pickle=False) as archive:
        header = orjson.loads(archive["__origin__"].tobytes())
    assert header["batches"] == 12
    assert header["format"] != checkpoint.FORMAT, "a program that knows whole epochs alone must not take it for one"
    part = read(file.path, file.sha256, 1, replace(ORIGIN, trials=ORIGIN.trials[1:]), [1])
    assert {name: part[name].tolist() for name in (BATCHES, "epoch.loss")} == {BATCHES: [7], "epoch.loss": [0.25]}


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
