"""Public data for tests. They are generated, or ship in Python packages: no network and nothing beside the checkout."""

from pathlib import Path

import pytest

from services.science.datasets.files import locate
from services.science.datasets.tabular import Diamonds


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with nothing in it. No test writes into it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def diamonds_csv(data_dir: Path) -> Path:
    """The public file, where the package that carries it keeps it. No test writes to it."""
    path = locate(Diamonds.files[0], data_dir)
    assert path, "diamonds.csv comes with a package that `make setup` installs: requirements/data.txt"
    return path
