"""The numbers themselves: a few lines of plain NumPy draw the same, and published bounds hold."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import special, stats

from services.science.initializers import BaseInitializer, Initializer, LayerContext
from services.science.streams import Purpose, stream

ADAPTER: TypeAdapter[BaseInitializer] = TypeAdapter(Initializer)


def plain_generator(seed: int, layer: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, (1 << 32) + layer], dtype=np.uint64)))


def plain_truncated(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    uniform = rng.uniform(special.ndtr(-2), special.ndtr(2), shape)
    return special.ndtri(uniform) * math.sqrt(variance) / 0.87962566103423978


@pytest.mark.parametrize("shape", [(6, 50), (50, 1), (8, 3, 3, 3)])
@pytest.mark.parametrize(
    ("kind", "fan", "numerator"),
    [("glorot", "avg", 1.0), ("he", "in", 2.0), ("lecun", "in", 1.0)],
)
def test_the_keras_family_is_what_a_short_script_draws(
    kind: str, fan: str, numerator: float, shape: tuple[int, ...]
) -> None:
    window = math.prod(shape[2:])
    fan_in, fan_out = shape if len(shape) == 2 else (shape[1] * window, shape[0] * window)
    variance = numerator / (fan_in if fan == "in" else (fan_in + fan_out) / 2)
    context = LayerContext.of(shape, layer=2)
    uniform = ADAPTER.validate_python(f"{kind}_uniform").draw(shape, stream(5, Purpose.WEIGHTS, 2), context)
    limit = math.sqrt(3 * variance)
    np.testing.assert_allclose(uniform, plain_generator(5, 2).uniform(-limit, limit, shape), rtol=1e-12)
    normal = ADAPTER.validate_python(f"{kind}_normal").draw(shape, stream(5, Purpose.WEIGHTS, 2), context)
    np.testing.assert_allclose(normal, plain_truncated(plain_generator(5, 2), shape, variance), rtol=1e-12)


def test_the_fixed_scales_are_what_a_short_script_draws() -> None:
    shape, context = (6, 50), LayerContext.of((6, 50))
    uniform = ADAPTER.validate_python("random_uniform").draw(shape, stream(0, Purpose.WEIGHTS), context)
    np.testing.assert_array_equal(uniform, plain_generator(0, 0).uniform(-0.05, 0.05, shape))
    normal = ADAPTER.validate_python("random_normal").draw(shape, stream(0, Purpose.WEIGHTS), context)
    np.testing.assert_array_equal(normal, plain_generator(0, 0).normal(0, 0.05, shape))


@pytest.mark.parametrize(
    ("kind", "bound"),
    [("glorot_normal", 1.0168), ("glorot_uniform", 0.7746), ("he_normal", 1.0718), ("he_uniform", 0.8165)],
)
def test_the_bounds_of_a_nine_by_one_weight(kind: str, bound: float) -> None:
    theory = ADAPTER.validate_python(kind).theory((9, 1), LayerContext.of((9, 1)))
    assert (theory.low, theory.high) == pytest.approx((-bound, bound), abs=5e-5)


def test_keras_cases_of_variance_scaling() -> None:
    shape = (30, 70)
    context = LayerContext.of(shape)
    for scale, mode, family in ((1, "fan_avg", "glorot"), (2, "fan_in", "he"), (1, "fan_in", "lecun")):
        for distribution, ending in (("uniform", "uniform"), ("truncated_normal", "normal")):
            general = ADAPTER.validate_python(
                {"kind": "variance_scaling", "scale": scale, "mode": mode, "distribution": distribution}
            )
            special_case = ADAPTER.validate_python(f"{family}_{ending}")
            np.testing.assert_allclose(
                general.draw(shape, stream(1, Purpose.WEIGHTS), context),
                special_case.draw(shape, stream(1, Purpose.WEIGHTS), context),
                rtol=1e-12,
            )


TRUNCATED = stats.truncnorm(-2, 2)


@pytest.mark.parametrize(
    ("spec", "distribution"),
    [
        ({"kind": "he_uniform"}, stats.uniform(-math.sqrt(6 / 200), 2 * math.sqrt(6 / 200))),
        ({"kind": "he_normal"}, stats.truncnorm(-2, 2, scale=math.sqrt(2 / 200) / TRUNCATED.std())),
        ({"kind": "kaiming_normal"}, stats.norm(0, math.sqrt(2 / 200))),
        ({"kind": "truncated_normal", "mean": 1.0}, stats.truncnorm(-2, 2, loc=1.0, scale=0.05)),
        ({"kind": "trunc_normal", "mean": 0.5, "std": 0.4, "a": 0.0, "b": 0.8}, stats.truncnorm(-1.25, 0.75, 0.5, 0.4)),
        ({"kind": "trunc_normal", "std": 0.5, "a": 2.0, "b": 2.5}, stats.truncnorm(4, 5, 0.0, 0.5)),
        ({"kind": "scaled_normal", "scale": 10.0}, stats.norm(0, 10)),
        ({"kind": "torch_default"}, stats.uniform(-1 / math.sqrt(200), 2 / math.sqrt(200))),
        ({"kind": "mup"}, stats.norm(0, 1 / math.sqrt(200))),
    ],
)
def test_the_whole_distribution_is_right(spec: dict[str, Any], distribution: Any) -> None:
    member = ADAPTER.validate_python(spec)
    shape = (200, 300)
    context = LayerContext.of(shape)
    weight = member.draw(shape, stream(2, Purpose.WEIGHTS), context).ravel()
    # A false alarm once in 100,000 seeds; this one is fixed.
    assert stats.kstest(weight, distribution.cdf).pvalue > 1e-5
    theory = member.theory(shape, context)
    assert (theory.mean, theory.std) == pytest.approx((distribution.mean(), distribution.std()), abs=1e-12)
    low, high = distribution.support()
    assert theory.low == (None if math.isinf(low) else pytest.approx(low))
    assert theory.high == (None if math.isinf(high) else pytest.approx(high))


def test_depth_scaled_narrows_where_a_branch_ends() -> None:
    member = ADAPTER.validate_python("depth_scaled")
    inside = LayerContext.of((64, 64), residual_branches=24)
    closing = LayerContext.of((64, 64), residual_branches=24, is_residual_last=True)
    alone = LayerContext.of((64, 64), is_residual_last=True)
    assert member.theory((64, 64), inside).std == 0.02
    assert member.theory((64, 64), closing).std == pytest.approx(0.02 / math.sqrt(24))
    assert member.theory((64, 64), alone).std == 0.02
