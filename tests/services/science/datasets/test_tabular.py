"""Public tables against scikit-learn's own readers and against the formulas of their columns."""

import io
import tarfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sklearn.datasets import load_digits

from services.science.datasets import SourceFile, prepare
from services.science.datasets.tabular import CaliforniaHousing, Digits, housing_columns


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    raw = Digits().load(tmp_path)
    bunch = cast("Any", load_digits())
    np.testing.assert_array_equal(raw.x, bunch.data)
    np.testing.assert_array_equal(raw.y, bunch.target)
    assert Digits.features == tuple(bunch.feature_names)


def test_housing_columns_are_averages_per_household() -> None:
    first = np.array([[-122.23, 37.88, 41.0, 880.0, 129.0, 322.0, 126.0, 8.3252, 452600.0]])
    x, y = housing_columns(first)
    # The first row of scikit-learn's fetch_california_housing.
    np.testing.assert_allclose(
        x[0], [8.3252, 41.0, 6.98412698, 1.02380952, 322.0, 2.55555556, 37.88, -122.23], rtol=1e-8
    )
    assert y[0] == 4.526


def test_housing_is_read_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.Generator(np.random.Philox(3)).uniform(1.0, 9.0, (20_640, 9))
    text = io.StringIO()
    np.savetxt(text, table, delimiter=",")
    content = text.getvalue().encode()
    with tarfile.open(tmp_path / "cal_housing.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(CaliforniaHousing, "files", (SourceFile("cal_housing.tgz"),))
    data = prepare(CaliforniaHousing(standardize=False, split="tail"), tmp_path)
    np.testing.assert_allclose(data.x_train, housing_columns(table)[0][:16_512], rtol=1e-6)
    assert data.y_validation.shape == (4_128, 1)
