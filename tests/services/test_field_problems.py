"""Pointers and sentences for whatever Pydantic finds wrong with a posted spec."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.field_problems import field_problems
from services.science.nearest import nearest
from services.science.spec import ExperimentSpec

BASE: dict[str, Any] = {"dataset": "digits", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}


def problems(body: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        ExperimentSpec.model_validate(body)
    return {problem.pointer: problem.message for problem in field_problems(caught.value.errors(), body)}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"activation": "rleu"}, "/activation"),
        ({"activation": ["rleu"]}, "/activation/0"),
        ({"activation": {"kind": "rleu"}}, "/activation"),
        ({"activation": [{"kind": "elu", "alpha": "x"}]}, "/activation/0/alpha"),
        ({"activation": {"kind": "elu", "alpha": "x"}}, "/activation/alpha"),
        ({"activation": {"alpha": 1}}, "/activation"),
        ({"optimizer": {"kind": "sgd", "momentum": [0.5, 2]}}, "/optimizer/momentum/1"),
        ({"optimizer": {"kind": "sgd", "momentum": [0.5, 2], "learning_rate": [1, 2]}}, "/optimizer/momentum/1"),
        ({"optimizer": ["adam", {"kind": "sgd", "learning_rate": [1, 2]}, "adamm"]}, "/optimizer/2"),
        ({"optimizer": {"kind": "sgd", "schedule": {"kind": "stp"}}}, "/optimizer/schedule"),
        ({"optimizer": {"kind": "sgd", "schedule": {"kind": "step", "gama": 1}}}, "/optimizer/schedule/gama"),
        ({"model": {"kind": "mlp", "hidden": [50, -1]}}, "/model/hidden/1"),
        ({"arms": [{"activation": "relu", "initialiser": "zeros"}]}, "/arms/0/initialiser"),
        ({"seeds": [3, -1]}, "/seeds/1"),
        ({"tags": ["a", ""]}, "/tags/1"),
        ({"hypotheses": [7]}, "/hypotheses/0"),
    ],
)
def test_a_pointer_leads_to_the_place_in_the_body(changes: dict[str, Any], pointer: str) -> None:
    body = {**BASE, **changes}
    assert pointer in problems(body)
    here: Any = body
    for step in pointer.split("/")[1:]:
        here = here[int(step)] if isinstance(here, list) else here[step]


@pytest.mark.parametrize(
    ("changes", "pointer", "sentence"),
    [
        ({"seeds": {"max": 8, "until": "separated"}}, "/seeds/until", '"ranked"'),
        ({"seeds": {"max": 8, "until": 3}}, "/seeds/until", "its fields: ci_halfwidth, ranked, tolerance"),
        ({"diagnostics": "all"}, "/diagnostics", "its fields: schedule, quantities"),
        ({"optimizer": 5}, "/optimizer", "names: adagrad, adam, adamw, rmsprop, sgd"),
        ({"optimizer": {"kind": "sgd", "schedule": 4}}, "/optimizer/schedule", "names: constant, cosine"),
        ({"dataset": 4}, "/dataset", "needs a name that says which is meant: diamonds"),
        ({"activation": {"alpha": 1}}, "/activation", "needs a kind that says which is meant: arcsinh"),
    ],
)
def test_what_is_no_object_gets_the_legal_choices(changes: dict[str, Any], pointer: str, sentence: str) -> None:
    assert sentence in problems({**BASE, **changes})[pointer]


def test_a_missing_field_is_named() -> None:
    assert problems({name: value for name, value in BASE.items() if name != "epochs"})["/epochs"].startswith(
        "is missing"
    )
    assert "/activation" in problems({name: value for name, value in BASE.items() if name != "activation"})


def test_the_nearest_name_is_offered() -> None:
    assert nearest("he_unifrom", ["he_uniform", "he_normal"]) == "he_uniform"
    assert nearest("qqq", ["relu", "tanh"]) is None
    assert (
        "did you mean 'momentum'"
        in problems({**BASE, "optimizer": {"kind": "sgd", "momentun": 1}})["/optimizer/momentun"]
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(list(BASE)), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*ExperimentSpec.model_fields, "other"]), json_values, max_size=5))
def test_any_body_is_a_spec_or_gets_problems(changes: dict[str, Any]) -> None:
    body = {**BASE, **changes}
    try:
        ExperimentSpec.model_validate(body)
    except ValidationError as error:
        complaints = field_problems(error.errors(), body)
        assert complaints
        assert all(problem.pointer == "" or problem.pointer.startswith("/") for problem in complaints)
        assert all(len(problem.message) < 5_000 for problem in complaints)
