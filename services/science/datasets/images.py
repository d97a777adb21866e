"""Public image sets with their own test rows: CIFAR-10, Fashion-MNIST, MNIST."""

import gzip
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from services.science.datasets.base import BuiltIn, RawData, Task
from services.science.datasets.errors import DatasetInvalid
from services.science.datasets.files import SourceFile, Unpacked, check_all, fetch_file, joint_digest
from services.science.models import Cnn, Model

CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_RECORD = 1 + 3 * 32 * 32
CIFAR_BATCH = 10_000
CIFAR_ARCHIVE = SourceFile(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
CIFAR_ORIGIN = "origin.txt"
"""Written after an extraction from the verified archive: the joint digest of the six files."""
UNVERIFIED = (
    "the CIFAR-10 files were put there by hand: the authors publish a checksum of the archive only, so sizes and "
    "labels are checked, but not that these are the official bytes"
)


class ImageSet(BuiltIn):
    """Images with test rows of their own, which validate."""

    validation_size: int | None = Field(
        default=None, ge=1, description="Validate on the first so many test rows only. Default: on all of them."
    )

    task: ClassVar[Task] = "classification"
    outputs: ClassVar[int] = 10
    target: ClassVar[str] = "class"
    needs_download: ClassVar[bool] = True

    def split_rows(self) -> tuple[int, int]:
        rows, test_rows = self.row_count()
        return rows, test_rows if self.validation_size is None else self.validation_size

    @model_validator(mode="after")
    def _enough_test_rows(self) -> Self:
        test_rows = self.row_count()[1]
        if self.validation_size is not None and self.validation_size > test_rows:
            message = f"validation_size {self.validation_size} is more than the {test_rows} test rows of {self.name!r}"
            raise ValueError(message)
        return self


class Cifar10(ImageSet):
    """60,000 colour photographs of 32 x 32 pixels in ten classes; the official test batch validates."""

    name: Literal["cifar10"] = "cifar10"

    rows: ClassVar[int] = 50_000
    test_rows: ClassVar[int] = 10_000
    input_shape: ClassVar[tuple[int, ...]] = (3, 32, 32)
    classes: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    description: ClassVar[str] = "60,000 colour photographs of 32 x 32 pixels, ten classes; the test batch validates."
    licence: ClassVar[str] = "none stated by the authors"
    source: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features from tiny images; binary version"
    size_bytes: ClassVar[int] = 6 * CIFAR_BATCH * CIFAR_RECORD
    files: ClassVar[tuple[SourceFile, ...]] = tuple(
        SourceFile(f"{CIFAR_FOLDER}/{name}.bin", CIFAR_BATCH * CIFAR_RECORD)
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    )

    def default_model(self) -> Model:
        """A small convolutional network: the pictures are photographs."""
        return Cnn()

    def fetch(self, data_dir: Path) -> None:
        if all((data_dir / source.path).is_file() for source in self.files):
            return
        fetch_file(self.name, CIFAR_ARCHIVE, data_dir)
        check_all(self.name, [CIFAR_ARCHIVE], data_dir)
        extract_members(data_dir / CIFAR_ARCHIVE.path, data_dir, self.files)
        digest = check_all(self.name, self.files, data_dir).digest
        (data_dir / CIFAR_FOLDER / CIFAR_ORIGIN).write_text(digest + "\n", "utf-8")

    def load(self, data_dir: Path) -> RawData:
        digest = check_all(self.name, self.files, data_dir).digest
        *train, test = (read_cifar(data_dir / source.path) for source in self.files)
        x, y = (np.concatenate(parts) for parts in zip(*train, strict=True))
        return RawData(x, y, digest, *test)

    def notes(self, data_dir: Path) -> tuple[str, ...]:
        """Say so when the files did not come from the verified archive, or were changed after."""
        paths = [data_dir / source.path for source in self.files]
        origin = data_dir / CIFAR_FOLDER / CIFAR_ORIGIN
        if not all(path.is_file() for path in paths):
            return ()
        # Nothing is read here but the times: hashing 180 MB is for those who train.
        if origin.is_file() and all(path.stat().st_mtime <= origin.stat().st_mtime for path in paths):
            return ()
        return (UNVERIFIED,)


def extract_members(archive: Path, data_dir: Path, members: tuple[SourceFile, ...]) -> None:
    """Extract exactly the `wanted` members: plain files of the expected name and size, each moved into place whole.

    Raises:
        DatasetInvalid: a member is missing, is not a plain file, or has another size.
    """
    with tarfile.open(archive, "r:gz") as tar:
        for source in members:
            try:
                member = tar.getmember(source.path)
            except KeyError:
                raise DatasetInvalid(f"{archive} holds no {source.path}") from None
            stream = tar.extractfile(member) if member.isreg() else None
            if stream is None or member.size != source.size:
                raise DatasetInvalid(f"{archive}: {source.path} is not a plain file of {source.size} bytes")
            target = data_dir / source.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".extract-", delete=False) as part:
                part.write(stream.read())
            Path(part.name).replace(target)


def read_cifar(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read records of one label byte and 3 x 32 x 32 pixel bytes: uint8 ``[n, 3, 32, 32]`` and int64 ``[n]``.

    Raises:
        DatasetInvalid: a part of a record is missing, or a label is not 0 to 9.
    """
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % CIFAR_RECORD:
        raise DatasetInvalid(f"cifar10: {path} has {raw.size} bytes, not a multiple of {CIFAR_RECORD}")
    records = raw.reshape(-1, CIFAR_RECORD)
    labels = records[:, 0].astype(np.int64)
    _check_labels("cifar10", path, labels)
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


class _Idx(ImageSet):
    """An image set in the IDX layout of MNIST: 60,000 training and 10,000 test images of 28 x 28 grey pixels."""

    rows: ClassVar[int] = 60_000
    test_rows: ClassVar[int] = 10_000
    input_shape: ClassVar[tuple[int, ...]] = (1, 28, 28)

    def load(self, data_dir: Path) -> RawData:
        files = check_all(self.name, self.files, data_dir)
        paths = files.paths
        x, x_test = (
            read_idx(paths[i], (n, 28, 28))[:, None] for i, n in ((0, type(self).rows), (2, type(self).test_rows))
        )
        y, y_test = (
            read_idx(paths[i], (n,)).astype(np.int64) for i, n in ((1, type(self).rows), (3, type(self).test_rows))
        )
        for path, labels in ((paths[1], y), (paths[3], y_test)):
            _check_labels(self.name, path, labels)
        return RawData(x, y, files.digest, x_test, y_test)


IDX_FILES = (
    ("train-images-idx3-ubyte.gz", 47_040_016),
    ("train-labels-idx1-ubyte.gz", 60_008),
    ("t10k-images-idx3-ubyte.gz", 7_840_016),
    ("t10k-labels-idx1-ubyte.gz", 10_008),
)
"""Names, and bytes once unpacked."""


def _idx_files(folder: str, base: str, facts: tuple[tuple[int, str, str], ...]) -> tuple[SourceFile, ...]:
    """The four files from bytes and MD5 of each download, and the SHA-256 of what it holds."""
    return tuple(
        SourceFile(f"{folder}/{name}", size, f"md5:{md5}", base + name, Unpacked(unpacked, sha256))
        for (name, unpacked), (size, md5, sha256) in zip(IDX_FILES, facts, strict=True)
    )


def _idx_digest(files: tuple[SourceFile, ...]) -> str:
    return joint_digest((Path(source.path).name, source.unpacked.sha256) for source in files if source.unpacked)


class FashionMnist(_Idx):
    """70,000 grey pictures of clothes, 28 x 28 pixels, ten classes; the official test rows validate."""

    name: Literal["fashion_mnist"] = "fashion_mnist"

    classes: ClassVar[tuple[str, ...]] = (
        "t_shirt_top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle_boot",
    )
    description: ClassVar[str] = "70,000 grey pictures of clothes, 28 x 28 pixels, ten classes."
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Xiao, Rasul & Vollgraf 2017, github.com/zalandoresearch/fashion-mnist"
    files: ClassVar[tuple[SourceFile, ...]] = _idx_files(
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            (
                26_421_880,
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            (
                29_515,
                "25c81989df183df01b3e8a0aad5dffbe",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            (
                4_422_102,
                "bef4ecab320f06d8554ea6380940ec79",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            (
                5_148,
                "bb300cfdad3c16e7a12a480ee83cd310",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
    )
    digest: ClassVar[str | None] = _idx_digest(files)
    size_bytes: ClassVar[int] = sum(source.size or 0 for source in files)


class Mnist(_Idx):
    """70,000 handwritten digits, 28 x 28 grey pixels; the official test rows validate."""

    name: Literal["mnist"] = "mnist"

    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    description: ClassVar[str] = "70,000 handwritten digits, 28 x 28 grey pixels, ten classes."
    licence: ClassVar[str] = "CC BY-SA 3.0"
    source: ClassVar[str] = "LeCun, Bottou, Bengio & Haffner 1998; mirror and checksums as in torchvision"
    files: ClassVar[tuple[SourceFile, ...]] = _idx_files(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            (
                9_912_422,
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            (
                28_881,
                "d53e105ee54ea40749a09fcbcd1e9432",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            (
                1_648_877,
                "9fb629c4189551a2d022fa330f9573f3",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            (
                4_542,
                "ec29112dd5afa0611ce80d1b7f02629c",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
    )
    digest: ClassVar[str | None] = _idx_digest(files)
    size_bytes: ClassVar[int] = sum(source.size or 0 for source in files)


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes: ``00 00 08 <ndim>``, big-endian sizes, then the bytes in C order.

    Raises:
        DatasetInvalid: it is no such file, or holds another shape.
    """
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    expected = len(header) + int(np.prod(shape))
    try:
        with gzip.open(path) as stream:
            # One byte more than expected shows an overlong file without unpacking all of it.
            content = stream.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetInvalid(f"{path} is not a readable gzip file: {error}") from error
    if not content.startswith(header) or len(content) != expected:
        raise DatasetInvalid(f"{path} is not an IDX file of unsigned bytes of shape {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=len(header)).reshape(shape)


def _check_labels(name: str, path: Path, labels: NDArray[np.int64]) -> None:
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise DatasetInvalid(
            f"{name}: {path} holds the label {labels[wrong[0]]} at record {wrong[0]}; 0 to 9 are legal"
        )
