"""Advice is ranked, sourced, and names only what there is."""

import pytest

from services.science.activations import ACTIVATIONS
from services.science.initializers import INITIALIZERS
from services.science.recommendations import Recommendation, recommend


def choices(recommendations: list[Recommendation], role: str) -> list[str]:
    ranked = [item for item in recommendations if item.role == role]
    assert [item.rank for item in ranked] == sorted(item.rank for item in ranked)
    return [item.choice for item in ranked]


@pytest.mark.parametrize(
    ("task", "output"), [("binary", "sigmoid"), ("multiclass", "softmax"), ("regression", "identity")]
)
def test_the_task_decides_the_output(task: str, output: str) -> None:
    recommendations = recommend(task, 2)  # type: ignore[arg-type]
    assert choices(recommendations, "output_activation") == [output]
    hidden = choices(recommendations, "hidden_activation")
    assert hidden[:2] == ["relu", "leaky_relu"]
    assert hidden.index("tanh") < hidden.index("sigmoid") == len(hidden) - 1
    assert choices(recommendations, "bias") == ["zeros"]
    assert choices(recommendations, "initializer")[0].startswith("he_")


@pytest.mark.parametrize(
    ("kind", "family"), [("relu", "he_"), ("tanh", "glorot_"), ("selu", "lecun_"), ("sigmoid", "glorot_")]
)
def test_the_activation_decides_the_initializer(kind: str, family: str) -> None:
    member = ACTIVATIONS[kind].model_validate({"kind": kind})
    assert choices(recommend("regression", 2, member), "initializer")[0].startswith(family)


@pytest.mark.parametrize("kind", list(ACTIVATIONS))
def test_every_activation_gets_reasons_and_sources(kind: str) -> None:
    for item in recommend("multiclass", 3, ACTIVATIONS[kind].model_validate({"kind": kind})):
        assert item.reason
        assert item.source
        assert item.role != "initializer" or item.choice in INITIALIZERS


def test_depth_is_warned_of() -> None:
    tanh, relu = (ACTIVATIONS[kind].model_validate({"kind": kind}) for kind in ("tanh", "relu"))
    sigmoid = ACTIVATIONS["sigmoid"].model_validate({"kind": "sigmoid"})

    def first(member: object, depth: int) -> Recommendation:
        return next(item for item in recommend("multiclass", depth, member) if item.role == "initializer")  # type: ignore[arg-type]

    assert first(relu, 50).warning is None
    assert first(tanh, 2).warning is None
    assert first(sigmoid, 20).warning is not None


@pytest.mark.parametrize("kind", ["gelu", "silu", "hard_silu", "e_swish"])
def test_what_theory_speaks_against_comes_after_what_it_does_not(kind: str) -> None:
    """At depth 30 these fade with he_normal and drift apart with gain_matched; their stable critical point holds."""
    member = ACTIVATIONS[kind].model_validate({"kind": kind})
    deep = [item for item in recommend("multiclass", 30, member) if item.role == "initializer"]
    assert (deep[0].choice, deep[0].warning) == ("critical", None)
    assert all(item.warning for item in deep[1:])
    assert next(item.warning or "" for item in deep if item.choice == "gain_matched").startswith("Over 30 plain layers")
    shallow = [item for item in recommend("multiclass", 2, member) if item.role == "initializer"]
    assert [item.warning for item in shallow] == [None] * len(shallow)
    assert shallow[0].choice == member.recommended_initializers[0].initializer
