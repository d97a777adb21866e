"""The folder with the public data files that tests read. No test writes into it."""

import os
import shutil
from pathlib import Path

import pytest

from services.science.datasets import DATASETS, DatasetUnavailable, ensure

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = "diamonds.csv"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds diamonds.csv.

    FIRSTLIGHT_TEST_DATA_DIR or FIRSTLIGHT_DATA_DIR when the file is there, else a copy of ``../shared/data``, else a
    download.
    """
    for name in ("FIRSTLIGHT_TEST_DATA_DIR", "FIRSTLIGHT_DATA_DIR"):
        folder = os.environ.get(name)
        if folder and (Path(folder) / FILE).is_file():
            return Path(folder)
    target = tmp_path_factory.mktemp("data")
    beside = CHECKOUT.parent / "shared" / "data" / FILE
    if beside.is_file():
        shutil.copyfile(beside, target / FILE)
        return target
    try:
        ensure(DATASETS["diamonds"](), target, download=True)
    except DatasetUnavailable as error:
        pytest.fail(f"these tests need {FILE}: set FIRSTLIGHT_TEST_DATA_DIR to a folder that holds it. {error}")
    return target
