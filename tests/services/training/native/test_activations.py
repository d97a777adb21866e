"""The kernel's activations against the catalogue's float64 formulas."""

import ctypes

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.training.native.members import CODES, ENCODERS, encode_activation
from services.training.native.structures import kernel

VARIANTS = [
    {"kind": "leaky_relu", "negative_slope": 0.3},
    {"kind": "leaky_relu", "negative_slope": -0.2},
    {"kind": "elu", "alpha": 0.4},
    {"kind": "celu", "alpha": 2.5},
    {"kind": "gelu", "approximate": "tanh"},
    {"kind": "silu", "beta": 1.7},
    {"kind": "hard_tanh", "min_value": -0.5, "max_value": 2.0},
    {"kind": "threshold", "threshold": 0.125, "otherwise": 20.0},
    {"kind": "e_swish", "beta": 1.2},
    {"kind": "isru", "alpha": 3.0},
    {"kind": "isrlu", "alpha": 3.0},
    {"kind": "softplus", "beta": 2.0, "threshold": 5.0},
    {"kind": "snake", "a": 0.4},
    {"kind": "siren", "omega_0": 10.0},
    {"kind": "squareplus", "b": 1.0},
    {"kind": "star_relu", "scale": 2.0, "shift": 0.5},
    {"kind": "rrelu", "lower": 0.2, "upper": 0.4},
    {"kind": "hard_shrink", "lambd": 0.25},
    {"kind": "soft_shrink", "lambd": 0.25},
]
MEMBERS = [ACTIVATIONS[kind].model_validate({}).model_dump() for kind in ENCODERS] + VARIANTS


def activate(member: dict, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    code, numbers = encode_activation(member)
    padded = np.zeros(-(-z.size // 16) * 16, dtype=np.float32)
    padded[: z.size] = z
    h = np.empty_like(padded)
    four = (ctypes.c_float * 4)(*numbers)
    kernel().firstlight_activate(code, four, padded.ctypes.data, h.ctypes.data, padded.size)
    return h[: z.size], padded[: z.size]


def member_id(member: dict) -> str:
    return "-".join(map(str, member.values()))


@pytest.mark.parametrize("member", MEMBERS, ids=member_id)
def test_value_and_derivative_agree_with_the_catalogue(member):
    z = np.concatenate([np.linspace(-12, 12, 4801), np.geomspace(1e-7, 80, 300), -np.geomspace(1e-7, 80, 300)])
    z = z.astype(np.float32)
    own = ACTIVATIONS[member["kind"]].model_validate(member)
    exact = z.astype(np.float64)
    value, derivative = activate(member, z)
    expected, slope = own.value(exact), own.derivative(exact)
    # A few units in the last place of the value, of what rounding z does to it, and of z times a gate in [0, 1].
    # (phish has two such gates)
    gated = 2 * np.minimum(np.abs(exact), 8) ** (2 if member["kind"] == "phish" else 1)
    allowed = 2.0**-23 * (4 * np.abs(expected) + np.abs(exact * slope) + 1 + gated)
    np.testing.assert_array_less(np.abs(value - expected), allowed)
    away = np.min([np.abs(exact - kink) for kink in (*own.kinks, 1e9)], axis=0) > 1e-6
    frequency = getattr(own, "omega_0", 1.0)
    error = np.abs(derivative - slope)[away]
    allowed = 4e-6 + 1e-5 * np.abs(slope) + 2.0**-23 * frequency**2 * np.abs(exact)
    np.testing.assert_array_less(error, allowed[away])


@pytest.mark.parametrize("member", MEMBERS, ids=member_id)
def test_far_arguments_stay_finite_and_nan_stays_nan(member):
    # exp overflows beyond 88.7; sin(30 x) of a large float32 is arbitrary
    far = {"exponential": 88.0, "siren": 1.0}.get(member["kind"], 1e4)
    value, derivative = activate(member, np.array([far, -far, 0.0, np.nan], dtype=np.float32))
    exact = ACTIVATIONS[member["kind"]].model_validate(member)
    expected = exact.value(np.array([far, -far, 0.0]))
    np.testing.assert_allclose(value[:3], expected, rtol=1e-6, atol=1e-6)
    slope = exact.derivative(np.array([far, -far]))
    np.testing.assert_allclose(derivative[:2], slope, rtol=1e-6, atol=1e-6)
    assert np.isnan(value[3])


def test_the_codes_are_the_positions_in_the_kernel():
    z = np.linspace(-1.5, 1.5, 32).astype(np.float32)
    forms = {"identity": z, "tanh": np.tanh(z), "gaussian": np.exp(-z * z), "exponential": np.exp(z)}
    for name, expected in forms.items():
        h, zd = np.empty_like(z), z.copy()
        kernel().firstlight_activate(CODES[name], (ctypes.c_float * 4)(), zd.ctypes.data, h.ctypes.data, z.size)
        np.testing.assert_allclose(h, expected, rtol=3e-7)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="'maxout' is not in the kernel"):
        encode_activation({"kind": "maxout"})


def test_all_of_the_catalogue_is_there_but_gated_and_trained_functions():
    missing = {kind for kind in ACTIVATIONS if kind not in ENCODERS}
    assert missing == {"prelu", "bilinear", "glu", "reglu", "geglu", "swiglu"}
    assert set(ENCODERS) < set(ACTIVATIONS)


@pytest.mark.parametrize("member", MEMBERS, ids=member_id)
def test_the_value_in_double_agrees_with_the_catalogue_to_its_last_digits(member):
    z = np.concatenate([np.linspace(-12, 12, 4801), np.geomspace(1e-7, 80, 300), -np.geomspace(1e-7, 80, 300)])
    code, numbers = encode_activation(member)
    h = np.empty_like(z)
    kernel().firstlight_activate_exact(code, (ctypes.c_double * 4)(*numbers), z.ctypes.data, h.ctypes.data, z.size)
    expected = ACTIVATIONS[member["kind"]].model_validate(member).value(z)
    np.testing.assert_allclose(h, expected, rtol=1e-12, atol=1e-14)
