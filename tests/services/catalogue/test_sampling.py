"""A sampled weight is the weight that trials start from, in any layout."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from services.catalogue.sampling import BINS, MOST_VALUES, Sample, SampleRequest, sample
from services.errors import InvalidInputError, NotFoundError
from services.science.initializers import INITIALIZERS


def draw(kind: str, **request: object) -> Sample:
    return sample(kind, SampleRequest.model_validate(request))


def philox(seed: int, layer: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, 2**32 + layer], dtype=np.uint64)))


def test_the_four_tensors_of_the_founding_notes() -> None:
    parameters = {
        kind: draw(kind, shape=[9, 1], seed=7)
        for kind in ("glorot_normal", "glorot_uniform", "he_normal", "he_uniform")
    }
    bounds = {"glorot_normal": 1.0168, "glorot_uniform": 0.7746, "he_normal": 1.0718, "he_uniform": 0.8165}
    for kind, answer in parameters.items():
        assert (answer.fan_in, answer.fan_out, answer.count) == (9, 1, 9)
        assert answer.theory.high == pytest.approx(bounds[kind], abs=1e-4)
        assert answer.values is not None
        assert answer.theory.high is not None
        assert np.abs(answer.values).max() <= answer.theory.high
    assert (
        parameters["he_uniform"].values
        == philox(7).uniform(-math.sqrt(6 / 9), math.sqrt(6 / 9), (9, 1)).astype("f4").tolist()
    )
    low, high = 0.022750131948179209, 0.97724986805182079
    normal = ndtri(philox(7).uniform(low, high, (9, 1))) * math.sqrt(2 / 9) / 0.87962566103423978
    assert np.allclose(np.array(parameters["he_normal"].values), normal, rtol=1e-6)


def test_layouts_are_the_same_weight_seen_otherwise() -> None:
    native = np.array(draw("he_uniform", shape=[32, 16, 3, 5], seed=3).values)
    keras = draw("he_uniform", shape=[3, 5, 16, 32], seed=3, layout="keras")
    torch = draw("he_uniform", shape=[32, 16, 3, 5], seed=3, layout="torch")
    assert (keras.fan_in, keras.fan_out) == (torch.fan_in, torch.fan_out) == (240, 480)
    assert np.array_equal(np.array(keras.values), native.transpose(2, 3, 1, 0))
    assert np.array_equal(np.array(torch.values), native)
    dense = np.array(draw("he_uniform", shape=[9, 4], seed=3).values)
    turned = draw("he_uniform", shape=[4, 9], seed=3, layout="torch")
    assert (turned.fan_in, turned.fan_out) == (9, 4)
    assert np.array_equal(np.array(turned.values), dense.T)


@given(
    st.sampled_from(sorted(INITIALIZERS)),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.sampled_from(["native", "keras", "torch"]),
    st.integers(0, 2**63 - 1),
)
def test_every_initializer_answers_or_says_why_not(kind: str, shape: list[int], layout: str, seed: int) -> None:
    try:
        sample = draw(kind, shape=shape, seed=seed, layout=layout, activation="tanh")
    except InvalidInputError as error:
        refused = error.problems
    else:
        answered(sample, shape)
        return
    assert refused[0].pointer == "/shape"


def answered(sample: Sample, shape: list[int]) -> None:
    values = np.array(sample.values)
    assert values.shape == tuple(shape)
    assert sum(sample.histogram.counts) == values.size == sample.count
    assert len(sample.histogram.edges) == BINS + 1
    assert sample.sample.mean == pytest.approx(values.mean(), abs=1e-6)
    assert sample.sample.std == pytest.approx(values.std(), abs=1e-6)


def test_a_large_weight_is_summed_up_and_fits_its_theory() -> None:
    sample = draw("glorot_uniform", shape=[1000, 400], seed=1)
    assert sample.values is None
    assert str(MOST_VALUES) in sample.notes[0]
    assert sample.mean_error is not None
    assert abs(sample.mean_error) < 5
    assert sample.sample.std == pytest.approx(sample.theory.std, rel=0.01)
    assert sample.sigma_w_squared == pytest.approx(2 * 1000 / 1400)


def test_layers_have_their_own_streams() -> None:
    weights = [draw("random_normal", shape=[5, 5], seed=2, layer=layer).values for layer in (0, 1)]
    assert weights[0] != weights[1]
    assert weights[1] == philox(2, 1).normal(0, 0.05, (5, 5)).astype("f4").tolist()


def test_a_sequential_initializer_is_told_the_layers_before() -> None:
    parameters = {"numpy_seed": 3, "scale": "he"}
    legacy = np.random.RandomState(3)
    first, second = legacy.randn(10, 2), legacy.randn(5, 10) * math.sqrt(2 / 10)
    sample = draw("legacy_randn", shape=[10, 5], layer=1, before=[[2, 10]], seed=8, parameters=parameters)
    assert np.allclose(np.array(sample.values), second.T, rtol=1e-6)
    assert "whatever the seed" in sample.notes[0]
    turned = draw("legacy_randn", shape=[5, 10], layer=1, before=[[10, 2]], layout="torch", parameters=parameters)
    assert np.allclose(np.array(turned.values), second, rtol=1e-6)
    alone = draw("legacy_randn", shape=[10, 2], layout="torch", parameters={"numpy_seed": 3})
    assert np.allclose(np.array(alone.values), first, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "request_", "pointer"),
    [
        ("legacy_randn", {"shape": [3, 3], "layer": 1}, "/before"),
        ("legacy_randn", {"shape": [3, 3], "layer": 1, "before": [[3000, 3000]]}, "/before"),
        ("legacy_randn", {"shape": [3, 3], "parameters": {"scale": "big"}}, "/parameters/scale"),
        ("gain_matched", {"shape": [3, 3]}, "/activation"),
        ("identity", {"shape": [3]}, "/shape"),
        ("he_uniform", {"shape": [3, 3], "parameters": {"gain": 2}}, "/parameters/gain"),
        ("orthogonal", {"shape": [3, 3], "parameters": {"gain": -2}}, "/parameters/gain"),
        ("he_uniform", {"shape": [3000, 3000]}, "/shape"),
        ("he_uniform", {"shape": [3, 3], "layer": 2, "depth": 2}, "/depth"),
    ],
)
def test_what_cannot_be_drawn_is_named(kind: str, request_: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        draw(kind, **request_)
    assert caught.value.problems[0].pointer == pointer


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'he_uniform'"):
        draw("he_unifrom", shape=[2, 2])
