"""Data sets as clients meet them."""

import io
from pathlib import Path
from typing import Any

import pytest

from services.datasets.files import ensure_available
from services.datasets.uploads import fill_upload, upload_csv
from services.errors import DatasetInvalidError, DatasetUnavailableError, InvalidInputError, SpecInvalidError
from services.science.datasets import DATASETS
from services.science.spec import ExperimentSpec

TEXT = b"x,y\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(50))
REST = {"activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}


def test_a_refused_file_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        upload_csv(tmp_path, "default", io.BytesIO(b"a,b\n1,2\n3,x\n"))
    (problem,) = caught.value.problems
    assert problem.pointer == "/file"
    assert problem.message.startswith("line 3, column 'b': ")
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize("form", ["bare", "object", "forged", "shouted"])
def test_a_spec_may_name_an_uploaded_table(tmp_path: Path, form: str) -> None:
    table = upload_csv(tmp_path, "default", io.BytesIO(TEXT))
    dataset: Any = {
        "bare": table.id,
        "object": {"name": table.id, "train_size": 10},
        "forged": {"name": table.id, "rows": 10**9, "outputs": 7, "task": "classification", "digest": "0" * 64},
        "shouted": f" {table.id.upper()} ",
    }[form]
    spec = ExperimentSpec.model_validate(fill_upload({"dataset": dataset, **REST}, tmp_path, "default"))
    assert spec.dataset.model_dump(include={"name", *table.facts()}) == {"name": table.id, **table.facts()}
    assert spec.dataset.train_size == (10 if form == "object" else None)
    assert ExperimentSpec.model_validate(fill_upload(spec.canonical(), tmp_path, "default")) == spec.resolved()


@pytest.mark.parametrize("spec", [None, [], {}, {"dataset": 3}, {"dataset": "digits"}, {"dataset": {"x": 1}}])
def test_every_other_spec_is_left_alone(tmp_path: Path, spec: Any) -> None:
    assert fill_upload(spec, tmp_path, "default") is spec


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecInvalidError, match="no uploaded data set") as caught:
        fill_upload({"dataset": "dts_" + "0" * 24, **REST}, tmp_path, "default")
    assert caught.value.problems[0].pointer == "/dataset"


def test_files_that_are_missing_or_wrong_become_problems(tmp_path: Path) -> None:
    choice: Any = DATASETS["california_housing"]()
    digits: Any = DATASETS["digits"]()
    with pytest.raises(DatasetUnavailableError, match=r"put the file cal_housing\.tgz into the data folder") as caught:
        ensure_available(choice, tmp_path, download=False)
    assert caught.value.problems[0].pointer == "/dataset"
    (tmp_path / "cal_housing.tgz").write_text("no archive")
    with pytest.raises(DatasetInvalidError, match=r"sha256 .* instead of aaa5c9a6"):
        ensure_available(choice, tmp_path, download=False)
    assert ensure_available(digits, tmp_path, download=False).paths == ()
