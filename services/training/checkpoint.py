"""Checkpoint files: arrays and their origin in one npz without pickle; a crash leaves a whole file or none."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from services.training.engine import State

FORMAT = 1
_ORIGIN = "__origin__"


class CheckpointMismatch(Exception):  # noqa: N818 - a fact about a file
    """The file is missing, damaged, or belongs to another cohort, data set or epoch."""


@dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to; a cohort resumes only from its own."""

    spec_digest: str
    trials_digest: str
    dataset_digest: str
    engine: str


@dataclass(frozen=True)
class CheckpointFile:
    """A written checkpoint."""

    epoch: int
    path: Path
    sha256: str
    size: int


def write(folder: Path, epoch: int, state: State, origin: Origin) -> CheckpointFile:
    """Write ``epoch-<n>.npz`` into `folder` (made when missing): temporary file, fsync, rename, fsync of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "epoch": epoch, **vars(origin)}
    buffer = io.BytesIO()
    arrays = {_ORIGIN: np.frombuffer(orjson.dumps(header), dtype=np.uint8), **state}
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getbuffer()
    path = folder / f"epoch-{epoch}.npz"
    temporary = folder / f".epoch-{epoch}.npz.tmp"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return CheckpointFile(epoch, path, hashlib.sha256(content).hexdigest(), len(content))


def engine_of(path: Path) -> Literal["auto", "eager"]:
    """The engine to go on with from a checkpoint: the one that wrote it if it was PyTorch, else ``auto``."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = orjson.loads(archive[_ORIGIN].tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return "auto"  # `read` will say what is wrong with the file
    return "eager" if header.get("engine") == "eager" else "auto"


def read(path: Path, sha256: str, epoch: int, origin: Origin) -> dict[str, NDArray[np.generic]]:
    """Read a checkpoint back after checking its digest, format, epoch and origin (the engine may differ).

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
    expected = {"format": FORMAT, "epoch": epoch, **vars(origin)}
    for key in ("format", "epoch", "spec_digest", "trials_digest", "dataset_digest"):
        if header.get(key) != expected[key]:
            raise CheckpointMismatch(
                f"checkpoint {path.name} has {key} {header.get(key)!r}, this attempt {expected[key]!r}"
            )
    return arrays
