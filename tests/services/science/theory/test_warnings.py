import pytest

from services.science.activations.base import BaseActivation
from services.science.activations.gated_linear import Bilinear, Glu, ReGlu, SwiGlu
from services.science.activations.rectifiers import Relu, SquaredRelu, StarRelu
from services.science.activations.self_gated import Gelu, Silu
from services.science.activations.shrinkage import TanhShrink
from services.science.activations.sigmoidal import Sigmoid, Tanh
from services.science.activations.softplus_family import Exponential
from services.science.theory.propagation import LayerScale
from services.science.theory.warnings import power_of_scale, seed_warnings, submission_warnings


def network(weight: float, depth: int = 30, width: int = 256) -> list[LayerScale]:
    return [LayerScale(width, width, weight / width)] * (depth + 1)


def test_glorot_with_relu_at_depth_thirty() -> None:
    forward, backward = submission_warnings(Relu(), network(1.0), "relu", "glorot_uniform")
    assert forward.startswith("glorot_uniform with relu at depth 30: activations shrink about 2^-30")
    assert backward.startswith("glorot_uniform with relu at depth 30: gradients shrink about 2^-30")


def test_what_works_is_not_warned_about() -> None:
    assert submission_warnings(Relu(), network(2.0), "relu", "he_uniform") == []
    assert submission_warnings(Tanh(), network(1.0, 2, 50), "tanh", "glorot_uniform") == []
    assert submission_warnings(Relu(), network(1.0), "relu", "glorot_uniform", batch_norm=True) == []
    assert submission_warnings(Relu(), [LayerScale(6, 1, 0.0)], "relu", "zeros") == []


def test_the_other_ways_to_fail() -> None:
    (only,) = submission_warnings(Sigmoid(), network(1.0, 8), "sigmoid", "glorot_uniform")
    assert "gradients shrink" in only
    assert "grow about 2^" in submission_warnings(Relu(), network(6.0), "relu", "random_normal")[0]
    assert "beyond floating point" in submission_warnings(Exponential(), network(4.0), "exponential", "he_normal")[0]
    assert "stay equal" in submission_warnings(Relu(), network(0.0, 2), "relu", "zeros")[0]
    assert "dead from the start" in submission_warnings(Relu(), network(2.0, 10, 3), "relu", "he_uniform")[-1]


@pytest.mark.parametrize(("activation", "gain"), [(Silu(), 2.8121), (Gelu(), 2.3515)], ids=["silu", "gelu"])
def test_an_unstable_scale_is_warned_of_although_the_usual_row_passes(activation: BaseActivation, gain: float) -> None:
    """With the gain that keeps a second moment of 1 the prediction is a ratio of 1 at any depth."""
    (only,) = submission_warnings(
        activation, [LayerScale(256, 256, 1 / 256), *network(gain, 29)], activation.kind, "gain_matched"
    )
    assert "rows of half and of twice the usual mean square are driven a factor of about 2^2" in only
    assert submission_warnings(activation, network(gain, 3), activation.kind, "gain_matched") == []
    assert submission_warnings(Relu(), network(2.0), "relu", "he_uniform") == []


@pytest.mark.parametrize("activation", [Bilinear(), ReGlu(), SwiGlu(), SquaredRelu(), StarRelu()], ids=lambda a: a.kind)
def test_degree_two_compounds_however_the_weights_start(activation: BaseActivation) -> None:
    for weight in (0.1, 1.0, 2.0):
        texts = submission_warnings(activation, network(weight, 3), activation.kind, "some")
        assert any("2^8 times as large" in text or "2^10 times as large" in text for text in texts)
    assert power_of_scale(activation, 1) is None
    deep = submission_warnings(activation, network(1.0, 9), activation.kind, "some")
    assert any("larger than numbers can hold" in text for text in deep) or "beyond what numbers" in deep[0]


@pytest.mark.parametrize("activation", [Relu(), Tanh(), Silu(), Glu(), TanhShrink()], ids=lambda a: a.kind)
def test_what_is_linear_or_bounded_in_the_end_does_not_compound(activation: BaseActivation) -> None:
    assert power_of_scale(activation, 30) is None


@pytest.mark.parametrize(("arms", "seeds", "needed"), [(2, 5, 6), (3, 5, 7), (6, 5, 10), (12, 10, 12)])
def test_too_few_seeds(arms: int, seeds: int, needed: int) -> None:
    (warning,) = seed_warnings(arms, seeds)
    assert f"needs at least {needed}" in warning
    assert seed_warnings(arms, needed) == []
    assert seed_warnings(1, 1) == []
