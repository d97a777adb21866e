"""The models' shapes, and what a spec may say of them."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.science.models import MODELS, Cnn, DeepMlp, Mlp
from services.science.models.layers import BatchNorm, parameters
from services.science.spec import ExperimentSpec


def spec(dataset: str, model: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {"dataset": dataset, "model": model, "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
    )


@pytest.mark.parametrize(
    ("dataset", "model"),
    [
        ("diamonds", None),
        ("diamonds", "deep_mlp"),
        ("diamonds", {"kind": "mlp", "batch_norm": True, "dropout": 0.1, "residual": True}),
        ("diamonds", {"kind": "mlp", "batch_norm": False, "layer_norm": {"position": "after"}}),
        ("cifar10", None),
        ("cifar10", {"kind": "cnn", "batch_norm": None, "dropout": 0.25}),
        ("cifar10", {"kind": "cnn", "batch_norm": {"evaluation": ["batch", "moving"]}, "blocks": [[3], [4, 5]]}),
        ("cifar10", "mlp"),
    ],
)
def test_the_stored_form_says_the_same_again(dataset: str, model: Any) -> None:
    first = spec(dataset, model)
    again = ExperimentSpec.model_validate(first.canonical())
    assert again.resolved() == first.resolved()
    assert again.digest() == first.digest()


def test_defaults_are_those_of_the_study_in_keras() -> None:
    assert spec("cifar10", None).resolved().model == Cnn()
    norm = Cnn().batch_norm
    assert norm == BatchNorm(decay=0.99, epsilon=1e-3, position="after", evaluation=("moving",))
    for how in (True, {}, {"decay": 0.99}):
        assert Cnn.model_validate({"batch_norm": how}).batch_norm == norm
    for how in (None, False):
        assert Cnn.model_validate({"batch_norm": how}).batch_norm is False
    assert Mlp.model_validate({"batch_norm": True}).batch_norm == BatchNorm(position="before")
    assert Cnn().rates() == (0.2, 0.3, 0.4, 0.5)
    assert Cnn(blocks=((2,),) * 4, dense=(3, 3)).rates() == (0.2, 0.3, 0.4, 0.5, 0.5, 0.5)
    assert Cnn(dropout=(0.1,)).rates() == (0.1,) * 4


def test_the_shapes_of_a_convolutional_network() -> None:
    stages = Cnn(blocks=((4, 5), (6,)), dense=(7,)).stages((3, 9, 8), 10, width_factor=2)
    assert [stage.layer.name for stage in stages] == ["conv_0", "conv_1", "conv_2", "dense_3", "dense_4"]
    assert [stage.layer.shape for stage in stages] == [(8, 3, 3, 3), (10, 4, 3, 3), (12, 5, 3, 3), (24, 14), (7, 10)]
    assert [stage.shape for stage in stages] == [(9, 8, 4), (4, 4, 5), (2, 2, 6), (7,), (10,)]
    assert [(stage.layer.fan_in, stage.layer.fan_out) for stage in stages[:2]] == [(27, 72), (36, 90)]
    assert [stage.norm_width for stage in stages] == [4, 5, 6, 7, 0]
    assert [stage.dropout for stage in stages] == [0.0, 0.2, 0.3, 0.4, 0.0]
    weights = 8 * 27 + 10 * 36 + 12 * 45 + 24 * 14 + 70
    assert parameters(stages) == weights + (8 + 10 + 12 + 14 + 10) + 2 * (4 + 5 + 6 + 7)


def test_a_deep_mlp_is_an_mlp_of_equal_layers() -> None:
    deep, flat = DeepMlp(depth=4, width=9, residual=True), Mlp(hidden=(9,) * 4, residual=True)
    assert deep.stages((3, 2), 5) == flat.stages(6, 5)
    assert [stage.skip for stage in deep.stages(6, 9)] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("dataset", "model", "words"),
    [
        ("diamonds", "cnn", "needs images"),
        ("cifar10", {"kind": "cnn", "blocks": [[2]] * 6}, "at most 5"),
        ("cifar10", {"kind": "cnn", "blocks": [[2], []]}, "no convolution"),
        ("cifar10", {"kind": "cnn", "dropout": [0.1, 0.2]}, "4 places"),
        ("cifar10", {"kind": "cnn", "batch_norm": {"decay": 1.0}}, "less than 1"),
        ("diamonds", {"kind": "mlp", "batch_norm": True, "layer_norm": True}, "exclude each other"),
        ("diamonds", {"kind": "mlp", "batch_norm": {"evaluation": ["batch", "batch"]}}, "at most once"),
        ("diamonds", {"kind": "mlp", "dropout": 1.0}, "less than 1"),
    ],
)
def test_what_does_not_fit_is_refused(dataset: str, model: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(dataset, model)


def test_every_member_is_in_the_catalogue() -> None:
    assert {kind: cls.model_fields["kind"].default for kind, cls in MODELS.items()} == {kind: kind for kind in MODELS}
