"""What a plan refuses although each part of the spec is right."""

from typing import Any

import pytest

from services.errors import SpecInvalidError
from services.experiments.plan import Prepared
from services.science.spec import ExperimentSpec
from services.settings import Settings

BESIDE = {"dataset": "digits", "initializer": "he_uniform", "batch_size": 32, "epochs": 1, "seeds": 2}


def prepared(*arms: dict[str, Any]) -> Prepared:
    return Prepared(ExperimentSpec.model_validate({**BESIDE, "arms": arms}), Settings())


def test_arms_that_are_the_same_once_filled_in_are_refused() -> None:
    """Two arms under one key would be taken for one, with each seed twice."""
    with pytest.raises(SpecInvalidError) as caught:
        prepared({"activation": "relu"}, {"activation": "tanh"}, {"activation": "relu", "batch_size": 32})
    (problem,) = caught.value.problems
    assert problem.pointer == "/arms/2"
    assert problem.message.startswith("is arm 0 once more")


def test_arms_that_differ_in_what_one_leaves_out_are_two() -> None:
    assert len(prepared({"activation": "relu"}, {"activation": "relu", "batch_size": 64}).grid.arms) == 2


def test_an_initializer_without_weights_for_an_activation_is_refused_with_a_way_out() -> None:
    """Every trial of the pair would fail once it is its turn, after the others have run."""
    axes = {"activation": ["relu", "squared_relu"], "initializer": ["critical", "he_normal"]}
    with pytest.raises(SpecInvalidError) as caught:
        Prepared(ExperimentSpec.model_validate({**BESIDE, **axes}), Settings())
    (problem,) = caught.value.problems
    assert problem.pointer == "/initializer"
    assert "critical with squared_relu: there is no critical point" in problem.message
    assert "name the pairs you want in `arms`" in problem.message
    pairs = [{"activation": a, "initializer": i} for a in axes["activation"] for i in axes["initializer"]]
    with pytest.raises(SpecInvalidError) as caught:
        prepared(*pairs)
    assert [problem.pointer for problem in caught.value.problems] == ["/arms/2/initializer"]
    assert len(prepared(*pairs[:2], *pairs[3:]).grid.arms) == 3


@pytest.mark.parametrize(("bias_variance", "legal"), [(0.0, False), (0.2, True), (None, True)])
def test_a_critical_point_that_signals_leave_is_refused_and_the_next_one_named(
    bias_variance: float | None, legal: bool
) -> None:
    initializer = {"kind": "critical", **({} if bias_variance is None else {"bias_variance": bias_variance})}
    if legal:
        assert prepared({"activation": "gelu", "initializer": initializer}).warnings == []
    else:
        with pytest.raises(SpecInvalidError, match=r"take 0\.2"):
            prepared({"activation": "gelu", "initializer": initializer})
