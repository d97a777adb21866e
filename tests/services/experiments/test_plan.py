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
