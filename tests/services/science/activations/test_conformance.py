"""What every activation of the catalogue promises."""

import importlib
import pkgutil

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import services.science.activations as family
from services.science.activations import ACTIVATIONS, ALIASES, LEFT_OUT, Activation, BaseActivation
from services.science.activations.names import DIFFERENCES

ADAPTER: TypeAdapter[BaseActivation] = TypeAdapter(Activation)

# Beside the defaults of every member, these parameters are tried.
VARIANTS: list[dict[str, object]] = [
    {"kind": "leaky_relu", "negative_slope": 0.3},
    {"kind": "leaky_relu", "negative_slope": -0.2},
    {"kind": "prelu", "initial_slope": 0.0},
    {"kind": "rrelu", "lower": 0.0, "upper": 0.0},
    {"kind": "threshold", "threshold": -0.5, "otherwise": 2.0},
    {"kind": "star_relu", "scale": 2.0, "shift": 1.0},
    {"kind": "hard_tanh", "min_value": -0.5, "max_value": 2.0},
    {"kind": "isru", "alpha": 3.0},
    {"kind": "isrlu", "alpha": 0.2},
    {"kind": "elu", "alpha": 2.5},
    {"kind": "celu", "alpha": 0.3},
    {"kind": "gelu", "approximate": "tanh"},
    {"kind": "silu", "beta": 1.702},
    {"kind": "e_swish", "beta": 1.25},
    {"kind": "softplus", "beta": 5.0, "threshold": 4.0},
    {"kind": "squareplus", "b": 0.5},
    {"kind": "hard_shrink", "lambd": 1.5},
    {"kind": "soft_shrink", "lambd": 0.0},
    {"kind": "siren", "omega_0": 3.0},
    {"kind": "snake", "a": 4.0},
]
MEMBERS = [ADAPTER.validate_python(kind) for kind in ACTIVATIONS] + [ADAPTER.validate_python(v) for v in VARIANTS]
ELEMENTWISE = [member for member in MEMBERS if member.width_factor == 1]
GATED = [member for member in MEMBERS if member.width_factor == 2]
GRID = np.concatenate([np.linspace(-8.0, 8.0, 1601), np.geomspace(1e-9, 8.0, 60), -np.geomspace(1e-9, 8.0, 60)])


def label(member: BaseActivation) -> str:
    return member.label()


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


def test_every_class_in_the_folder_is_in_the_union() -> None:
    for module in pkgutil.iter_modules(family.__path__, f"{family.__name__}."):
        importlib.import_module(module.name)
    concrete = {cls for cls in subclasses(BaseActivation) if "kind" in vars(cls).get("__annotations__", {})}
    assert concrete == set(ACTIVATIONS.values())


@pytest.mark.parametrize("member", MEMBERS, ids=label)
def test_a_member_is_a_frozen_value_that_survives_json(member: BaseActivation) -> None:
    assert ADAPTER.validate_json(member.model_dump_json()) == member
    assert hash(member) == hash(ADAPTER.validate_json(member.model_dump_json()))
    with pytest.raises(ValidationError, match="frozen"):
        member.kind = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        ADAPTER.validate_python({"kind": member.kind, "no_such_parameter": 1})


@pytest.mark.parametrize("kind", list(ACTIVATIONS))
def test_a_member_is_described(kind: str) -> None:
    cls = ACTIVATIONS[kind]
    assert type(ADAPTER.validate_python(kind)) is cls
    assert cls.__doc__
    assert cls.__doc__ != BaseActivation.__doc__
    assert cls.formula
    assert cls.references
    assert cls.failure
    assert all(cls.limits)
    assert cls.recommended_initializers
    assert set(cls.learned) <= set(cls.model_fields)


def test_advice_names_initializers_that_exist() -> None:
    initializers = importlib.import_module("services.science.initializers").INITIALIZERS
    advised = {item.initializer for cls in ACTIVATIONS.values() for item in cls.recommended_initializers}
    assert advised <= set(initializers)


@pytest.mark.parametrize("member", ELEMENTWISE, ids=label)
def test_the_derivative_is_the_slope(member: BaseActivation) -> None:
    step = 1e-5
    smooth = np.all([np.abs(GRID - kink) > 2 * step for kink in member.kinks], axis=0) if member.kinks else ...
    x = GRID[smooth]
    slope = (member.value(x + step) - member.value(x - step)) / (2 * step)
    np.testing.assert_allclose(member.derivative(x), slope, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("member", MEMBERS, ids=label)
def test_far_out_values_are_finite_and_within_the_stated_range(member: BaseActivation) -> None:
    x = np.concatenate([GRID, [-1e4, -500.0, 500.0, 1e4]])
    x = x if member.finite_below is None else x[x <= member.finite_below]
    x = x if len(x) % member.width_factor == 0 else x[1:]
    value, derivative = member.value(x), member.derivative(x)
    assert value.dtype == derivative.dtype == np.float64
    assert np.isfinite(value).all()
    assert np.isfinite(derivative).all()
    low, high = member.bounds()
    assert low is None or value.min() >= low - 1e-12
    assert high is None or value.max() <= high + 1e-12


@pytest.mark.parametrize("member", ELEMENTWISE, ids=label)
def test_the_stated_range_is_tight(member: BaseActivation) -> None:
    # A fine grid gets within its resolution of an attained bound, and its ends of an asymptotic one.
    ends = [-1e4, 1e4] if member.finite_below is None else [-1e4]
    value = member.value(np.concatenate([np.linspace(-8.0, 8.0, 160_001), ends, list(member.kinks)]))
    low, high = member.bounds()
    assert (low is None) == (value.min() < -9)
    assert (high is None) == (value.max() > 9)
    assert low is None or value.min() == pytest.approx(low, abs=1e-3)
    assert high is None or value.max() == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("member", MEMBERS, ids=label)
def test_shapes_are_kept_and_inputs_untouched(member: BaseActivation) -> None:
    x = np.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)
    before = x.copy()
    assert member.value(x).shape == (2, 3, 4 // member.width_factor)
    assert member.derivative(x).shape == x.shape
    assert not np.shares_memory(member.value(x), x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("member", GATED, ids=label)
def test_a_gated_unit_has_the_slope_of_each_half_and_refuses_odd_widths(member: BaseActivation) -> None:
    x = np.random.Generator(np.random.Philox(3)).normal(size=(50, 6))
    step = 1e-6
    for column in range(6):
        moved = np.zeros_like(x)
        moved[:, column] = step
        slope = (member.value(x + moved) - member.value(x - moved)) / (2 * step)
        expected = np.zeros((50, 3))
        expected[:, column % 3] = member.derivative(x)[:, column]
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="even length"):
        member.value(np.zeros((2, 3)))


def test_aliases_lead_to_members_and_hide_none() -> None:
    assert set(ALIASES.values()) <= set(ACTIVATIONS)
    assert not set(ALIASES) & set(ACTIVATIONS)
    assert not set(LEFT_OUT) & (set(ACTIVATIONS) | set(ALIASES))
    assert {item.name for item in DIFFERENCES} <= set(ACTIVATIONS)
    assert ADAPTER.validate_python("Hard-Swish").kind == "hard_silu"
    assert ADAPTER.validate_python({"kind": "swish", "beta": 2.0}).label() == "silu(beta=2)"


def test_an_unknown_name_is_answered_with_the_legal_ones() -> None:
    with pytest.raises(ValidationError, match=r"'rely'.*'relu'"):
        ADAPTER.validate_python("rely")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "leaky_relu", "negative_slope": 1.5}, "less than or equal to 1"),
        ({"kind": "elu", "alpha": float("nan")}, "finite number"),
        ({"kind": "rrelu", "lower": 0.5, "upper": 0.2}, "lower must not exceed upper, but 0.5 > 0.2"),
        ({"kind": "hard_tanh", "min_value": 1.0, "max_value": 1.0}, "min_value must be below max_value"),
    ],
)
def test_parameters_are_bounded(spec: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ADAPTER.validate_python(spec)
