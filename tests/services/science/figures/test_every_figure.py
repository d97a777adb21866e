"""What every kind of figure has to do, whatever it shows."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator
from pydantic import TypeAdapter

from services.science.figures import FIGURES, FigureChoice, NoFigureDataError
from services.science.figures.theme import THEMES

KINDS = tuple(FIGURES)
CASES = ("two by two", "one arm", "one seed", "diverged", "all of one arm diverged", "many arms")


def case(make_study: Any, name: str) -> Any:
    if name == "one arm":
        return make_study(("relu",), ("he_uniform",))
    if name == "one seed":
        return make_study(seeds=1)
    if name == "diverged":
        return make_study(diverged={("relu", "he_uniform"): (1,)})
    if name == "all of one arm diverged":
        return make_study(diverged={("tanh", "glorot_uniform"): (0, 1, 2, 3)})
    if name == "many arms":
        return make_study(
            ("relu", "tanh", "sigmoid", "gelu"),
            ("he_uniform", "glorot_uniform", "lecun_uniform", "orthogonal"),
            seeds=3,
        )
    return make_study(name='<script>alert("x")</script> & co')


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_draws_valid_vega_lite_with_its_numbers_inside(
    make_study: Any, vega_lite: Draft7Validator, kind: str, name: str
) -> None:
    figure, study = FIGURES[kind].model_validate({}), case(make_study, name)
    if (kind, name) == ("differences", "one arm"):
        with pytest.raises(NoFigureDataError, match="one arm"):
            figure.numbers(study)
        return
    data = figure.numbers(study)
    assert data.kind == kind
    assert data.title
    assert data.subtitle
    assert data.description
    assert data.records
    drawn = {theme: figure.draw(data, theme) for theme in THEMES}
    for spec in drawn.values():
        json.dumps(spec, allow_nan=False)
        # Plain Python numbers only: NumPy's would not get through every serializer.
        orjson.dumps(spec)
        assert not any(key in ("url", "href") for key, _ in items(spec))
    errors = sorted(vega_lite.iter_errors(drawn["light"]), key=lambda error: len(error.path))
    assert not errors, [error.message[:300] for error in errors[:3]]
    assert drawn["dark"]["config"]["background"] != drawn["light"]["config"]["background"]
    assert drawn["light"]["usermeta"]["firstlight"]["figure"] == kind
    assert json.dumps(figure.draw(data, "light")) == json.dumps(drawn["light"])


@pytest.mark.parametrize("kind", KINDS)
def test_its_picture_says_how_many_seeds_and_which_interval(make_study: Any, kind: str) -> None:
    data = FIGURES[kind].model_validate({}).numbers(make_study())
    words = " ".join(data.subtitle)
    assert any(word in words for word in ("seed", "trial")), words
    if any("low" in record and record["low"] is not None for record in data.records):
        assert "95 %" in words
        assert "95 %" in str(data.meta["interval"])


@pytest.mark.parametrize("kind", KINDS)
def test_its_csv_has_every_record(make_study: Any, kind: str) -> None:
    data = FIGURES[kind].model_validate({}).numbers(make_study())
    rows = list(csv.DictReader(io.StringIO(data.csv())))
    assert len(rows) == len(data.records)
    for row, record in zip(rows, data.records, strict=True):
        for name, value in record.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            elif value is None:
                assert row[name] == ""


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_described(kind: str) -> None:
    cls = FIGURES[kind]
    assert cls.title
    assert cls.description.endswith(".")
    assert all(field.description for name, field in cls.model_fields.items() if name != "kind")
    assert TypeAdapter(FigureChoice).validate_python(kind) == cls.model_validate({})


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_show_is_said(make_study: Any, kind: str) -> None:
    arms = [
        replace(arm, curves={}, trials=tuple(replace(trial, joules=None) for trial in arm.trials))
        for arm in make_study().arms
    ]
    empty = make_study(arms=tuple(arms), comparison=None, diagnostics=())
    if kind in ("activation", "initializer"):
        assert FIGURES[kind].model_validate({}).numbers(empty).records
        return
    with pytest.raises(NoFigureDataError, match=r"\w"):
        FIGURES[kind].model_validate({}).numbers(empty)


def items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key, inner
            yield from items(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from items(inner)
