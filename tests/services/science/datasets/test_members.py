"""The family as a spec meets it: names, facts, refusals."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.science.datasets import DATASETS, DatasetChoice, plan_rows
from services.science.datasets.upload import Upload
from services.science.spec import ExperimentSpec

CHOICE: TypeAdapter[Any] = TypeAdapter(DatasetChoice)
FACTS = {"task": "regression", "rows": 100, "inputs": 3, "outputs": 1, "digest": "a" * 64}
UPLOAD = "dts_" + "0123456789ab" * 2


@pytest.mark.parametrize("name", DATASETS)
def test_every_member_is_complete(name: str) -> None:
    member = DATASETS[name]
    assert member.__doc__
    assert member.description
    assert member.licence
    assert member.source
    assert member.target
    assert member.input_shape
    assert all(size > 0 for size in member.input_shape)
    assert (member.outputs == 1) == (member.task == "regression")
    if len(member.input_shape) == 1:
        assert len(member.features) == member.input_shape[0]
    if member.classes:
        assert len(member.classes) == member.outputs
    assert member.needs_download == bool(member.files)
    assert member().default_model().kind in ("mlp", "cnn")
    choice = CHOICE.validate_python(name)
    assert CHOICE.validate_python(choice.model_dump(mode="json")) == choice
    assert CHOICE.validate_json(choice.model_dump_json()) == choice
    json.dumps(member.model_json_schema())


@pytest.mark.parametrize(
    ("written", "stored"),
    [("Diamonds", "diamonds"), (" cifar-10 ", "cifar10"), ("Fashion MNIST", "fashion_mnist"), ({"name": "XOR"}, "xor")],
)
def test_other_spellings_are_understood(written: Any, stored: str) -> None:
    assert CHOICE.validate_python(written).name == stored


def test_an_unknown_name_is_told_the_legal_ones() -> None:
    with pytest.raises(ValidationError, match="union_tag_invalid") as caught:
        CHOICE.validate_python("diamond")
    (error,) = caught.value.errors()
    assert all(f"'{name}'" in error.get("ctx", {})["expected_tags"] for name in DATASETS)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"name": "digits", "train_size": 1439}, "train_size 1439 is more than the 1438 training rows of 'digits'"),
        ({"name": "circles", "size": 10, "validation_fraction": 0.01}, "leaves 10 training and 0 validation rows"),
        ({"name": "digits", "validation_fraction": 1.0}, "less than 1"),
        ({"name": "digits", "split": "head"}, "'random' or 'tail'"),
        ({"name": "digits", "rows": 3}, "Extra inputs"),
        ({"name": "circles", "noise": float("nan")}, "finite"),
        ({"name": UPLOAD}, f"no uploaded data set '{UPLOAD}' is here"),
    ],
)
def test_what_cannot_be_done_is_refused(choice: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        CHOICE.validate_python(choice)


def test_an_upload_is_a_data_set_like_any_other() -> None:
    choice = CHOICE.validate_python({"name": UPLOAD, "train_size": 10, **FACTS})
    assert isinstance(choice, Upload)
    assert (choice.input_shape, choice.outputs, plan_rows(choice)) == ((3,), 1, (10, 20))
    spec = ExperimentSpec.model_validate(
        {"dataset": choice.model_dump(), "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
    )
    assert spec.resolved().loss == "mae"
    assert ExperimentSpec.model_validate(spec.canonical()).digest() == spec.digest()


def test_the_schema_allows_a_bare_name_and_asks_an_upload_for_its_name_only() -> None:
    schema = CHOICE.json_schema(mode="validation")
    bare, objects = schema["anyOf"]
    assert bare["anyOf"][0]["enum"] == list(DATASETS)
    assert len(objects["oneOf"]) == len(DATASETS) + 1
    assert schema["$defs"]["Upload"]["required"] == ["name"]


@given(rows=st.integers(10, 10_000), fraction=st.floats(0.01, 0.99))
def test_the_validation_rows_are_a_rounded_share(rows: int, fraction: float) -> None:
    share = round(rows * fraction)
    document = {"name": "circles", "size": rows, "validation_fraction": fraction}
    if 0 < share < rows:
        assert plan_rows(CHOICE.validate_python(document)) == (rows - share, share)
    else:
        with pytest.raises(ValidationError, match="at least one"):
            CHOICE.validate_python(document)


def test_the_catalogue_costs_no_heavy_import() -> None:
    heavy = ("torch", "sklearn", "pooch", "requests", "pandas", "pyarrow")
    code = f"import sys, services.science.datasets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
