"""What the axes of stored arms are called in figures: as their stored labels call them."""

import pytest

from services.figures.study_loader import with_axes
from services.science.grid import expand
from services.science.results import ArmResults
from services.science.spec import ExperimentSpec

SPEC = ExperimentSpec.model_validate(
    {
        "dataset": "digits",
        "activation": "relu",
        "initializer": "he_uniform",
        "optimizer": {"kind": "sgd", "learning_rate": [0.01, 0.1]},
        "epochs": 1,
        "seeds": 1,
    }
)
NEW = ("sgd(learning_rate=0.01)", "sgd(learning_rate=0.1)")
OLD = ("sgd", "sgd(learning_rate=0.1)")


@pytest.mark.parametrize("names", [NEW, OLD])
def test_an_experiment_keeps_the_names_it_was_stored_with(names: tuple[str, str]) -> None:
    arms = expand(SPEC).arms
    stored = [
        ArmResults("key", f"relu · he_uniform · {name}", (), arm.model_dump())
        for arm, name in zip(arms, names, strict=True)
    ]
    with_names = with_axes(stored)
    assert [arm.axes["optimizer"] for arm in with_names] == list(names)
    assert {(arm.axes["activation"], arm.axes["batch_size"]) for arm in with_names} == {("relu", "batch 32")}
    assert [arm.members["activation"] for arm in with_names] == [arm.activation for arm in arms]
