"""The catalogue as plain values: complete, JSON without NaN, and helpful about wrong names."""

import orjson
import pytest

from services.catalogue import families
from services.errors import InvalidInputError, NotFoundError
from services.science.activations import ACTIVATIONS
from services.science.initializers import INITIALIZERS


def test_every_member_is_there_and_is_json() -> None:
    assert [entry["kind"] for entry in families.activations()] == list(ACTIVATIONS)
    assert [entry["kind"] for entry in families.initializers()] == list(INITIALIZERS)
    for entry in (*families.activations(), *families.initializers(), *families.optimizers(), *families.models()):
        assert entry["formula"]
        assert entry["references"]
        assert entry["description"]
        orjson.dumps(entry)


@pytest.mark.parametrize("kind", list(ACTIVATIONS))
def test_an_activation_comes_with_its_curve_and_moments(kind: str) -> None:
    entry = families.activation(kind, {})
    assert entry["moments"]["q"] == 1.0
    assert b"NaN" not in orjson.dumps(entry)
    if "curve" in entry:
        assert len(entry["curve"]["x"]) == len(entry["curve"]["value"]) == len(entry["curve"]["derivative"])


def test_parameters_change_the_curve() -> None:
    entry = families.activation("leaky_relu", {"negative_slope": "0.5"})
    assert entry["at"] == {"negative_slope": 0.5}
    assert entry["curve"]["value"][0] == -3.0
    assert entry["moments"]["second_moment"] == pytest.approx(0.5 * (1 + 0.25))


def test_a_wrong_name_or_parameter_is_told_the_right_one() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'relu'"):
        families.activation("rleu", {})
    with pytest.raises(InvalidInputError, match="negative_slope"):
        families.activation("leaky_relu", {"slope": "1"})
    with pytest.raises(InvalidInputError) as caught:
        families.activation("leaky_relu", {"negative_slope": "steep"})
    assert caught.value.problems[0].pointer == "negative_slope"
