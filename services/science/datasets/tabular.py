"""Public tables: one row per thing, a few numeric columns."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.base import BuiltIn, RawData, Task
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.files import SourceFile, check_all, in_package

DIAMONDS_COMMIT = "71e2436a092d714350de0fc409ca8a8714e7e78f"
DIAMONDS_SHA256 = "9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4"
DIAMONDS_HEADER = '"carat","cut","color","clarity","depth","table","price","x","y","z"'
DIGITS_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


class Diamonds(BuiltIn):
    """Price of 53,940 diamonds from carat, depth, table, x, y and z; the cut, color and clarity grades are left out."""

    name: Literal["diamonds"] = "diamonds"

    task: ClassVar[Task] = "regression"
    rows: ClassVar[int] = 53_940
    input_shape: ClassVar[tuple[int, ...]] = (6,)
    outputs: ClassVar[int] = 1
    features: ClassVar[tuple[str, ...]] = ("carat", "depth", "table", "x", "y", "z")
    target: ClassVar[str] = "price"
    description: ClassVar[str] = "53,940 diamonds: price in US dollars from six measures, some of them far outliers."
    licence: ClassVar[str] = "MIT (ggplot2)"
    source: ClassVar[str] = f"diamonds.csv of github.com/mwaskom/seaborn-data at commit {DIAMONDS_COMMIT}; from ggplot2"
    digest: ClassVar[str | None] = DIAMONDS_SHA256
    size_bytes: ClassVar[int] = 2_772_143
    needs_download: ClassVar[bool] = True
    order_note: ClassVar[str | None] = (
        "the file is ordered in runs of rising price (its row and price correlate by -0.31)"
    )
    files: ClassVar[tuple[SourceFile, ...]] = (
        SourceFile(
            "diamonds.csv",
            2_772_143,
            f"sha256:{DIAMONDS_SHA256}",
            f"https://raw.githubusercontent.com/mwaskom/seaborn-data/{DIAMONDS_COMMIT}/diamonds.csv",
            carrier=("plotnine", "data/diamonds.csv"),
        ),
    )

    def load(self, data_dir: Path) -> RawData:
        files = check_all(self.name, self.files, data_dir)
        text = files.paths[0].read_text("utf-8")
        header = text.partition("\n")[0].rstrip("\r")
        if header != DIAMONDS_HEADER:
            raise DatasetInvalid(f"diamonds: the first line is {header!r} instead of {DIAMONDS_HEADER!r}")
        columns = [name.strip('"') for name in header.split(",")]
        places = [columns.index(name) for name in (*self.features, self.target)]
        table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=places, dtype=np.float64)
        return RawData(table[:, :-1].copy(), table[:, -1].copy(), files.digest)


class Digits(BuiltIn):
    """1,797 handwritten digits of 8 x 8 pixels (0 to 16), as a table of 64 columns; ships with scikit-learn."""

    name: Literal["digits"] = "digits"

    task: ClassVar[Task] = "classification"
    rows: ClassVar[int] = 1_797
    input_shape: ClassVar[tuple[int, ...]] = (64,)
    outputs: ClassVar[int] = 10
    features: ClassVar[tuple[str, ...]] = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    target: ClassVar[str] = "digit"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    description: ClassVar[str] = "1,797 handwritten digits of 8 x 8 pixels, ten classes; needs no download."
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = (
        "Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (test part), as shipped by scikit-learn"
    )
    digest: ClassVar[str | None] = DIGITS_SHA256

    def load(self, data_dir: Path) -> RawData:  # noqa: ARG002 - needs nothing from the data folder
        path = in_package("sklearn", "datasets/data/digits.csv.gz")
        if path is None:
            raise DatasetUnavailable("digits: their file ships with scikit-learn, which is not installed or lacks it")
        packed = path.read_bytes()
        digest = hashlib.sha256(packed).hexdigest()
        if digest != DIGITS_SHA256:
            raise DatasetInvalid(f"digits: scikit-learn's file has SHA-256 {digest} instead of {DIGITS_SHA256}")
        table = np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.float64)
        return RawData(table[:, :-1].copy(), table[:, -1].astype(np.int64), digest)


class CaliforniaHousing(BuiltIn):
    """Median house value (100,000 dollars) of 20,640 block groups of the 1990 census; columns as in scikit-learn."""

    name: Literal["california_housing"] = "california_housing"

    task: ClassVar[Task] = "regression"
    rows: ClassVar[int] = 20_640
    input_shape: ClassVar[tuple[int, ...]] = (8,)
    outputs: ClassVar[int] = 1
    features: ClassVar[tuple[str, ...]] = (
        "median_income",
        "house_age",
        "average_rooms",
        "average_bedrooms",
        "population",
        "average_occupation",
        "latitude",
        "longitude",
    )
    target: ClassVar[str] = "median_house_value"
    description: ClassVar[str] = "20,640 Californian block groups: median house value from eight measures."
    licence: ClassVar[str] = "none stated (StatLib)"
    source: ClassVar[str] = "Pace & Barry 1997, Sparse spatial autoregressions; the archive scikit-learn downloads"
    size_bytes: ClassVar[int] = 441_963
    digest: ClassVar[str | None] = "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681"
    needs_download: ClassVar[bool] = True
    order_note: ClassVar[str | None] = "the file is ordered by place"
    files: ClassVar[tuple[SourceFile, ...]] = (
        SourceFile(
            "cal_housing.tgz",
            None,
            f"sha256:{digest}",
            "https://ndownloader.figshare.com/files/5976036",
        ),
    )

    def load(self, data_dir: Path) -> RawData:
        files = check_all(self.name, self.files, data_dir)
        with tarfile.open(files.paths[0], "r:gz") as archive:
            member = archive.extractfile("CaliforniaHousing/cal_housing.data")
            if member is None:
                raise DatasetInvalid("california_housing: the archive holds no CaliforniaHousing/cal_housing.data")
            table = np.loadtxt(member, delimiter=",", dtype=np.float64)
        return RawData(*housing_columns(table), files.digest)


def housing_columns(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn the census columns into scikit-learn's features and target.

    The file holds longitude, latitude, age, rooms, bedrooms, population, households, income, value; rooms, bedrooms
    and population become averages per household.
    """
    longitude, latitude, age, rooms, bedrooms, population, households, income, value = table.T
    features = (
        income,
        age,
        rooms / households,
        bedrooms / households,
        population,
        population / households,
        latitude,
        longitude,
    )
    return np.column_stack(features), value / 100_000.0
