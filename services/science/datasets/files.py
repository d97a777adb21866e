"""The files of a data set: are they there, are they what they should be, and can they be fetched?"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set, where it belongs and where it comes from.

    Attributes:
        path: relative to the data folder.
        size: bytes, or None where unknown.
        checksum: ``sha256:<hex>`` or ``md5:<hex>`` as published, or None where nothing is published.
        url: where it can be fetched, or None.
    """

    path: str
    size: int | None = None
    checksum: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class DatasetFile:
    """What `ensure` found: the digest of the raw data, and the files it was read from (none for generated data)."""

    digest: str
    paths: tuple[Path, ...] = ()
    bytes: int = 0


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def joint_digest(named: Iterable[tuple[str, str]]) -> str:
    """One digest of several files: SHA-256 of the lines ``<sha256>  <name>`` in the given order."""
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in named).encode()).hexdigest()


def check(name: str, source: SourceFile, data_dir: Path) -> str:
    """Check one file against what is published of it; return its SHA-256.

    Raises:
        DatasetUnavailable: it is not there.
        DatasetInvalid: its size or checksum differs.
    """
    path = data_dir / source.path
    if not path.is_file():
        raise DatasetUnavailable(missing(name, source, data_dir))
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        raise DatasetInvalid(f"{name}: {path} has {size} bytes instead of {source.size}; remove it and fetch it again")
    digest = hash_of(path)
    if source.checksum is not None:
        algorithm, _, expected = source.checksum.partition(":")
        found = digest if algorithm == "sha256" else hash_of(path, algorithm)
        if found != expected:
            raise DatasetInvalid(
                f"{name}: {path} has {algorithm} {found} instead of {expected}; remove it and fetch it again"
            )
    return digest


def check_all(name: str, sources: Iterable[SourceFile], data_dir: Path) -> DatasetFile:
    """Check every file; the digest is the file's own where there is one, else the joint digest of all.

    Raises:
        DatasetUnavailable: a file is not there.
        DatasetInvalid: a size or checksum differs.
    """
    sources = tuple(sources)
    digests = [(Path(source.path).name, check(name, source, data_dir)) for source in sources]
    paths = tuple(data_dir / source.path for source in sources)
    digest = digests[0][1] if len(digests) == 1 else joint_digest(digests)
    return DatasetFile(digest, paths, sum(path.stat().st_size for path in paths))


def missing(name: str, source: SourceFile, data_dir: Path) -> str:
    """Say which file is missing, where it belongs and where it comes from."""
    text = f"{name}: put the file {source.path} into the data folder {data_dir}"
    if source.url:
        text += f", or allow the download of {source.url}"
    if source.checksum:
        text += f" ({source.checksum})"
    return text


def fetch_file(name: str, source: SourceFile, data_dir: Path) -> Path:
    """Download one file into the data folder unless it is there; a failed download leaves nothing behind.

    Raises:
        DatasetUnavailable: there is no address, or the download failed.
        DatasetInvalid: what came is not what was published.
    """
    target = data_dir / source.path
    if target.is_file():
        return target
    if source.url is None:
        raise DatasetUnavailable(missing(name, source, data_dir))
    import pooch  # noqa: PLC0415 - pulls in requests, which only a download needs

    pooch.get_logger().setLevel("ERROR")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            source.url,
            known_hash=source.checksum,
            fname=target.name,
            path=target.parent,
            downloader=cast("Any", pooch.HTTPDownloader(timeout=30)),  # pooch's own protocol misnames its parameters
        )
    except ValueError as error:
        raise DatasetInvalid(f"{name}: {source.url} sent something else than was published: {error}") from error
    except OSError as error:
        raise DatasetUnavailable(f"{missing(name, source, data_dir)}; the download failed: {error}") from error
    return target
