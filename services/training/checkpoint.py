"""Checkpoint files: arrays and their origin in one npz without pickle; a crash leaves a whole file or none."""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from services import faults
from services.training.engine import State
from services.training.set_down import BATCHES

FORMAT = 2
"""Raised where a state written before would not go on as an undisturbed run does: with 2, the kernel's bits changed."""
SET_DOWN_FORMAT = 3
"""Of a file whose state lies inside an epoch, so that a program that knows whole epochs alone refuses it."""
_ORIGIN = "__origin__"


class CheckpointMismatch(Exception):  # noqa: N818 - a fact about a file
    """The file is missing, damaged, or belongs to another cohort, data set or epoch."""


@dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to; a cohort resumes only from its own, or from that of the whole it is a part of.

    `trials` has the key of the arm and the seed of each trial, by slot.
    """

    spec_digest: str
    trials: tuple[tuple[str, int], ...]
    dataset_digest: str
    engine: str

    @property
    def trials_digest(self) -> str:
        """All that a file from before cohorts shared them says of its trials."""
        return hashlib.sha256(orjson.dumps(self.trials)).hexdigest()


@dataclass(frozen=True)
class CheckpointFile:
    """A written checkpoint; `epoch` is the last finished one."""

    epoch: int
    path: Path
    sha256: str
    size: int


def write(folder: Path, epoch: int, state: State, origin: Origin) -> CheckpointFile:
    """Write ``epoch-<n>.npz`` into `folder` (made when missing): temporary file, fsync, rename, fsync of the folder.

    A state inside the epoch after that goes into ``epoch-<n>-batches-<all slots' batches>.npz``, and the header says
    how many: a file that a row of the database names is not written over.

    Raises:
        OSError: it could not be written, for want of space say; what was there before is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "epoch": epoch, **vars(origin), "trials_digest": origin.trials_digest}
    name = f"epoch-{epoch}"
    if BATCHES in state:
        batches = int(np.asarray(state[BATCHES], dtype=np.int64).sum())
        header |= {"format": SET_DOWN_FORMAT, "batches": batches}
        name += f"-batches-{batches}"
    arrays = {_ORIGIN: np.frombuffer(orjson.dumps(header), dtype=np.uint8), **state}
    path = folder / f"{name}.npz"
    temporary = folder / f".{name}.npz.tmp"
    try:
        with temporary.open("wb") as file:
            hashed = _Hashed(file)
            np.savez(hashed, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        faults.point("child.before_checkpoint_rename", epoch=epoch)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return CheckpointFile(epoch, path, hashed.sha256.hexdigest(), hashed.size)


class _Hashed(io.RawIOBase):
    """A file that is written once, front to back, and digested on the way; gigabytes are never held twice."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is; never read."""
        return True

    def write(self, content: Any) -> int:
        """Write all of it."""
        self.sha256.update(content)
        written = self._file.write(content)
        self.size += written
        return written


def engine_of(path: Path) -> Literal["auto", "eager"]:
    """The engine to go on with from a checkpoint: the one that wrote it if it was PyTorch, else ``auto``."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = orjson.loads(archive[_ORIGIN].tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return "auto"  # `read` will say what is wrong with the file
    return "eager" if header.get("engine") == "eager" else "auto"


def read(
    path: Path, sha256: str, epoch: int, origin: Origin, slots: Sequence[int] | None = None
) -> dict[str, NDArray[np.generic]]:
    """Read a checkpoint back after checking its digest, format, epoch and origin (the engine may differ).

    Args:
        path: the file.
        sha256: its digest.
        epoch: the last that was finished when it was written.
        origin: that of the cohort that resumes.
        slots: the places of this cohort's trials in the file; None when it holds these and no others.

    Returns:
        The arrays; the first axis of each are the trials of `origin`.

    Raises:
        CheckpointMismatch: any of them does not hold.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointMismatch(f"checkpoint {path.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointMismatch(f"checkpoint {path.name} is damaged: its SHA-256 is not the recorded one")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = orjson.loads(arrays.pop(_ORIGIN).tobytes())
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointMismatch(f"checkpoint {path.name} is not a checkpoint: {error}") from error
    expected = {"format": SET_DOWN_FORMAT if BATCHES in arrays else FORMAT, "epoch": epoch, **vars(origin)}
    for key in ("format", "epoch", "spec_digest", "dataset_digest"):
        if header.get(key) != expected[key]:
            raise CheckpointMismatch(
                f"checkpoint {path.name} has {key} {header.get(key)!r}, this attempt {expected[key]!r}"
            )
    places = range(len(origin.trials)) if slots is None else slots
    if not _holds(header, origin, places, whole=slots is None):
        raise CheckpointMismatch(f"checkpoint {path.name} has other trials than this attempt at the places {places}")
    return arrays if slots is None else {name: array[list(places)] for name, array in arrays.items()}


def _holds(header: Mapping[str, Any], origin: Origin, places: Sequence[int], *, whole: bool) -> bool:
    """Whether a file has the trials of `origin` at these places, and, as a whole, no others."""
    trials = header.get("trials")
    if trials is None:
        return whole and header.get("trials_digest") == origin.trials_digest
    if whole and len(trials) != len(places):
        return False
    inside = all(0 <= place < len(trials) for place in places)
    return inside and [tuple(trials[place]) for place in places] == list(origin.trials)
