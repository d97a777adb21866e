"""What every initializer of the catalogue promises."""

import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import services.science.initializers as family
from services.science.activations import Activation
from services.science.initializers import (
    ALIASES,
    INITIALIZERS,
    LEFT_OUT,
    BaseInitializer,
    Initializer,
    LayerContext,
    Moments,
    fans,
)
from services.science.initializers.names import DIFFERENCES
from services.science.streams import Purpose, stream

ADAPTER: TypeAdapter[BaseInitializer] = TypeAdapter(Initializer)

VARIANTS: list[dict[str, Any]] = [
    {"kind": "constant", "value": -0.1},
    {"kind": "critical", "bias_variance": 0.05},
    {"kind": "delta_orthogonal", "gain": 0.5},
    {"kind": "depth_scaled", "stddev": 0.0},
    {"kind": "dirac", "groups": 2},
    {"kind": "gain_matched", "keep": "variance"},
    {"kind": "gain_matched", "keep": "gradient"},
    {"kind": "identity", "gain": -2.0},
    {"kind": "kaiming_normal", "negative_slope": 0.5},
    {"kind": "kaiming_uniform", "mode": "fan_out", "nonlinearity": "tanh"},
    {"kind": "legacy_randn", "numpy_seed": 3, "scale": "he"},
    {"kind": "legacy_randn", "scale": "xavier_fan_in"},
    {"kind": "mup", "gain": 1.4, "base_width": 16},
    {"kind": "normal", "mean": 1.0, "std": 0.0},
    {"kind": "orthogonal", "gain": 3.0},
    {"kind": "random_normal", "mean": 0.5, "stddev": 2.0},
    {"kind": "random_uniform", "minval": 0.1, "maxval": 0.3},
    {"kind": "scaled_normal", "scale": 10.0},
    {"kind": "sparse", "sparsity": 0.25, "std": 1.0},
    {"kind": "sparse", "sparsity": 1.0},
    {"kind": "trunc_normal", "mean": 0.5, "std": 0.4, "a": 0.0, "b": 0.8},
    {"kind": "truncated_normal", "mean": 1.0, "stddev": 0.3},
    {"kind": "uniform", "low": -2.0, "high": -1.0},
    {"kind": "variance_scaling", "scale": 2.0, "mode": "fan_avg", "distribution": "uniform"},
    {"kind": "variance_scaling", "mode": "fan_out", "distribution": "untruncated_normal"},
    {"kind": "xavier_normal", "gain": 5 / 3},
    {"kind": "xavier_uniform", "gain": 0.5},
]
MEMBERS = [ADAPTER.validate_python(kind) for kind in INITIALIZERS] + [ADAPTER.validate_python(v) for v in VARIANTS]
TANH = TypeAdapter(Activation).validate_python("tanh")
DENSE_ONLY = {"identity", "sparse"}
SHAPES = [(60, 40), (40, 60), (48, 48), (1, 300), (300, 1), (24, 16, 3, 3), (24, 24, 5)]
# Six standard errors are left by about two in a billion normal means; with some 900 checks of a mean and a variance
# (both asymptotically normal) a false alarm has a probability below 1e-5, and the seeds are fixed.
SIGMAS = 6.0


def context_of(shape: tuple[int, ...], **fields: Any) -> LayerContext:
    return LayerContext.of(shape, **{"layer": 1, "depth": 4, "activation": TANH, "before": ((7, 5),), **fields})


def drawn_at(member: BaseInitializer, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The second layer of a network at a seed; of a generator of the member's own, at that generator's."""
    if member.sequential:
        member = member.model_copy(update={"numpy_seed": seed})
    return member.draw(shape, stream(seed, Purpose.WEIGHTS, 1), context_of(shape))


def usable(member: BaseInitializer, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or member.kind not in DENSE_ONLY


CASES = [pytest.param(m, s, id=f"{m.label()}-{s}") for m in MEMBERS for s in SHAPES if usable(m, s)]


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


def test_every_class_in_the_folder_is_in_the_union() -> None:
    for module in pkgutil.iter_modules(family.__path__, f"{family.__name__}."):
        importlib.import_module(module.name)
    concrete = {cls for cls in subclasses(BaseInitializer) if "kind" in vars(cls).get("__annotations__", {})}
    assert concrete == set(INITIALIZERS.values())


@pytest.mark.parametrize("member", MEMBERS, ids=BaseInitializer.label)
def test_a_member_is_a_frozen_value_that_survives_json(member: BaseInitializer) -> None:
    assert ADAPTER.validate_json(member.model_dump_json()) == member
    assert hash(member) == hash(ADAPTER.validate_json(member.model_dump_json()))
    with pytest.raises(ValidationError, match="frozen"):
        member.kind = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        ADAPTER.validate_python({"kind": member.kind, "no_such_parameter": 1})


@pytest.mark.parametrize("kind", list(INITIALIZERS))
def test_a_member_is_described(kind: str) -> None:
    cls = INITIALIZERS[kind]
    assert type(ADAPTER.validate_python(kind)) is cls
    assert cls.__doc__
    assert cls.formula
    assert cls.references
    assert cls.gain_note
    assert cls.fan_convention


@pytest.mark.parametrize(("member", "shape"), CASES)
def test_a_draw_is_repeatable_and_has_the_moments_and_support_theory_gives(
    member: BaseInitializer, shape: tuple[int, ...]
) -> None:
    context = context_of(shape)
    weight = member.draw(shape, stream(11, Purpose.WEIGHTS, 1), context)
    again = member.draw(shape, stream(11, Purpose.WEIGHTS, 1), context)
    assert weight.shape == shape
    assert weight.dtype == np.float64
    np.testing.assert_array_equal(weight, again)
    theory = member.theory(shape, context)
    assert theory.low is None or weight.min() >= theory.low - 1e-12
    assert theory.high is None or weight.max() <= theory.high + 1e-12
    if theory.std is None:
        assert member.data_dependent
        return
    assert theory.mean is not None
    # Many draws of a small layer rather than one: a row of an orthogonal matrix is one sample, not 300.
    draws = np.stack([drawn_at(member, shape, seed) for seed in range(60)])
    sampled = draws.reshape(len(draws), -1)
    mean_error = sampled.mean(axis=1).std(ddof=1) / np.sqrt(len(draws))
    spread = np.square(sampled - theory.mean).mean(axis=1)
    spread_error = spread.std(ddof=1) / np.sqrt(len(draws))
    assert abs(sampled.mean() - theory.mean) <= SIGMAS * mean_error + 1e-9 * (1 + abs(theory.mean))
    assert abs(spread.mean() - theory.std**2) <= SIGMAS * spread_error + 1e-9 * (1 + theory.std**2)


@pytest.mark.parametrize("member", MEMBERS, ids=BaseInitializer.label)
def test_biases_have_the_stated_variance(member: BaseInitializer) -> None:
    context = context_of((100, 200))
    draws = np.stack([member.draw_bias((200,), stream(seed, Purpose.BIASES, 1), context) for seed in range(50)])
    variance = member.bias_variance_of(context)
    if variance == 0.0:
        assert not draws.any()
    else:
        # A variance of 10,000 values is known to 1.5 % at most (normal: sqrt(2 / n)); six of those.
        assert np.var(draws) == pytest.approx(variance, rel=0.09)
        assert abs(draws.mean()) < 6 * np.sqrt(variance / draws.size)


def test_only_the_members_that_say_so_draw_biases() -> None:
    context = context_of((30, 30))
    drawn = {m.kind for m in MEMBERS if m.bias_variance_of(context) > 0}
    assert drawn == {"torch_default", "critical"}


@pytest.mark.parametrize("kind", [kind for kind, cls in INITIALIZERS.items() if cls.needs_activation])
def test_an_initializer_that_needs_the_activation_says_so(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind} scales its weights by the activation, and none is given"):
        ADAPTER.validate_python(kind).theory((4, 4), LayerContext.of((4, 4)))


@pytest.mark.parametrize("kind", [kind for kind, cls in INITIALIZERS.items() if not cls.needs_activation])
def test_no_other_initializer_needs_the_activation(kind: str) -> None:
    assert isinstance(ADAPTER.validate_python(kind).theory((4, 4), LayerContext.of((4, 4))), Moments)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 50), (6, 50)),
        ((9, 1), (9, 1)),
        ((32, 16, 3, 3), (144, 288)),
        ((8, 4, 5), (20, 40)),
        ((8, 4, 2, 2, 2), (32, 64)),
        ((7,), (7, 7)),
    ],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize("shape", [(), (0, 3), (3, -1)])
def test_a_shape_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="positive sizes"):
        fans(shape)


def test_aliases_lead_to_members_and_hide_none() -> None:
    assert set(ALIASES.values()) <= set(INITIALIZERS)
    assert not set(ALIASES) & set(INITIALIZERS)
    assert not set(LEFT_OUT) & (set(INITIALIZERS) | set(ALIASES))
    assert {name for item in DIFFERENCES for name in item.names} <= set(INITIALIZERS)
    assert ADAPTER.validate_python("Edge of chaos").kind == "critical"


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_a_name_left_out_is_refused_with_the_legal_ones(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{name}'.*'he_uniform'"):
        ADAPTER.validate_python(name)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "random_normal", "stddev": -1.0}, "greater than or equal to 0"),
        ({"kind": "random_normal", "stddev": float("inf")}, "finite number|less than or equal"),
        ({"kind": "random_uniform", "minval": 1.0}, "minval must not exceed maxval, but 1 > 0.05"),
        ({"kind": "uniform", "high": -1.0}, "low must not exceed high"),
        ({"kind": "trunc_normal", "a": 2.0}, "a must be below b"),
        ({"kind": "trunc_normal", "a": 8.0, "b": 9.0}, "within six std"),
        ({"kind": "sparse", "sparsity": 1.1}, "less than or equal to 1"),
    ],
)
def test_parameters_are_bounded(spec: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ADAPTER.validate_python(spec)
