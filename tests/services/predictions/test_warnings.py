from typing import Any

from services.predictions.warnings import MOST_WARNINGS, spec_warnings
from services.science.activations import ACTIVATIONS
from services.science.grid import expand
from services.science.spec import ExperimentSpec


def warnings(**changes: Any) -> list[str]:
    base = {"dataset": "digits", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 20}
    spec = ExperimentSpec.model_validate({**base, **changes})
    return spec_warnings(spec, expand(spec))


def test_what_works_is_not_warned_about() -> None:
    assert warnings() == []
    assert warnings(initializer="identity", model={"kind": "mlp", "hidden": [64] * 20}) == []


def test_a_deep_relu_network_with_glorot() -> None:
    sentences = warnings(initializer=["he_uniform", "glorot_uniform"], model={"kind": "mlp", "hidden": [50] * 30})
    assert [text.split(":")[0] for text in sentences] == ["glorot_uniform with relu at depth 30"] * 2
    assert "shrink about 2^-" in sentences[0]


def test_pairs_are_looked_at_once_and_seeds_first() -> None:
    sentences = warnings(
        initializer=["zeros", "he_uniform"], optimizer={"kind": "sgd", "learning_rate": [0.1, 0.2]}, seeds=2
    )
    assert "cannot tell arms apart" in sentences[0]
    assert len(sentences) == 2
    assert "zeros with relu" in sentences[1]


def test_a_long_list_is_cut_and_says_so() -> None:
    sentences = warnings(activation=list(ACTIVATIONS), initializer=["zeros", "ones"])
    assert len(sentences) == MOST_WARNINGS + 1
    assert "more warnings" in sentences[-1]


def test_equal_units_are_told_of_in_every_network() -> None:
    for model in ("mlp", {"kind": "mlp", "batch_norm": True}, {"kind": "mlp", "layer_norm": True}):
        (sentence,) = warnings(initializer={"kind": "constant", "value": 0.1}, model=model)
        assert "stay equal for the whole run" in sentence
    (sentence,) = warnings(initializer="zeros", model={"kind": "mlp", "dropout": 0.5})
    assert "only dropout tells its units apart" in sentence
    (sentence,) = warnings(dataset="cifar10", initializer="zeros", model="cnn")
    assert "only dropout tells its units apart" in sentence
    (sentence,) = warnings(dataset="cifar10", initializer="zeros", model={"kind": "cnn", "dropout": 0.0})
    assert "stay equal" in sentence
    assert warnings(initializer="zeros", model={"kind": "mlp", "hidden": []}) == []


def test_seeds_that_change_no_weight_are_told_of() -> None:
    (sentence,) = warnings(initializer="legacy_randn", model={"kind": "mlp", "hidden": []})
    assert "the same weights at every seed" in sentence
    assert not any("every seed" in text for text in warnings(initializer="legacy_randn", seeds=1))


def test_degree_two_is_warned_of_unless_rows_are_normalised() -> None:
    deep = {"kind": "mlp", "hidden": [50, 50, 50]}
    assert any("2^8 times" in text for text in warnings(activation="reglu", initializer="gain_matched", model=deep))
    assert warnings(activation="reglu", initializer="gain_matched", model={**deep, "layer_norm": True}) == []
