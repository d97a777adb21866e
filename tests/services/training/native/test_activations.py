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
]
NAMES = [kind for kind in ENCODERS if kind in ACTIVATIONS]
MEMBERS = [{"kind": kind} for kind in NAMES] + [v for v in VARIANTS if v["kind"] in ACTIVATIONS]


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
    allowed = 2.0**-23 * (4 * np.abs(expected) + np.abs(exact * slope) + 1 + 2 * np.minimum(np.abs(exact), 8))
    np.testing.assert_array_less(np.abs(value - expected), allowed)
    away = np.min([np.abs(exact - kink) for kink in (*own.kinks, 1e9)], axis=0) > 1e-6
    np.testing.assert_allclose(derivative[away], slope[away], rtol=1e-5, atol=4e-6)


@pytest.mark.parametrize("member", MEMBERS, ids=member_id)
def test_far_arguments_stay_finite_and_nan_stays_nan(member):
    far = 1e4 if member["kind"] != "exponential" else 88.0
    value, derivative = activate(member, np.array([far, -far, 0.0, np.nan], dtype=np.float32))
    exact = ACTIVATIONS[member["kind"]].model_validate(member)
    expected = exact.value(np.array([far, -far, 0.0]))
    np.testing.assert_allclose(value[:3], expected, rtol=1e-6, atol=1e-6)
    slope = exact.derivative(np.array([far, -far]))
    np.testing.assert_allclose(derivative[:2], slope, rtol=1e-6, atol=1e-6)
    assert np.isnan(value[3])


def test_the_codes_are_the_positions_in_the_kernel():
    z = np.linspace(-1.5, 1.5, 32).astype(np.float32)
    known = {"identity": z, "tanh": np.tanh(z), "gaussian": np.exp(-z * z), "exponential": np.exp(z)}
    for name, expected in known.items():
        h, zd = np.empty_like(z), z.copy()
        kernel().firstlight_activate(CODES[name], (ctypes.c_float * 4)(), zd.ctypes.data, h.ctypes.data, z.size)
        np.testing.assert_allclose(h, expected, rtol=3e-7)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="'maxout' is not in the kernel"):
        encode_activation({"kind": "maxout"})
