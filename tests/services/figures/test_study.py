"""What the axes of stored arms are called in figures: as their stored labels call them."""

import pytest

from services.comparisons.arms import StoredArm, StoredTrial
from services.db.tables import ExperimentRow
from services.figures.study import axes_as_stored
from services.science.grid import expand
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
        StoredArm(
            ExperimentRow(id="exp_1"),
            (StoredTrial("trl", "key", f"relu · he_uniform · {name}", arm.model_dump(), 0, "succeeded", None, None),),
        )
        for arm, name in zip(arms, names, strict=True)
    ]
    found = axes_as_stored(stored, arms)
    assert [axes["optimizer"] for axes in found] == list(names)
    assert {(axes["activation"], axes["batch_size"]) for axes in found} == {("relu", "batch 32")}
