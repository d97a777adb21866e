"""What makes the kernel's bits the same everywhere: correctly rounded roots, and its own functions in double."""

import numpy as np
import pytest
from scipy import special

from services.training.native.members import CODES
from services.training.native.structures import kernel


def roots(x: np.ndarray) -> np.ndarray:
    numbers = x.astype(np.float32)
    kernel().firstlight_square_roots(numbers.ctypes.data, numbers.size)
    return numbers


def test_every_significand_has_the_correctly_rounded_root() -> None:
    """All numbers from 1 to 4: the powers of four beyond only move the exponent."""
    for first in range(0x3F800000, 0x40800000, 1 << 22):
        x = np.arange(first, first + (1 << 22), dtype=np.uint32).view(np.float32)
        np.testing.assert_array_equal(roots(x), np.sqrt(x))


@pytest.mark.parametrize("exponent", [-126, -125, -98, -96, -94, -93, -92, -60, 64, 100, 126, 127])
def test_roots_are_correctly_rounded_at_the_ends_of_the_range_too(exponent: int) -> None:
    x = np.ldexp(np.linspace(1, 2, 1 << 16, endpoint=False, dtype=np.float32), exponent)
    np.testing.assert_array_equal(roots(x), np.sqrt(x))
    mixed = np.stack([x, np.roll(x, 7) * np.float32(0), np.linspace(1, 9, x.size, dtype=np.float32)], axis=1).ravel()
    np.testing.assert_array_equal(roots(mixed), np.sqrt(mixed))


def test_special_numbers_have_ieee_roots() -> None:
    x = np.array([0.0, np.inf, np.nan, -1.0, 3.4028235e38, 1.17549435e-38, 4.0, 1e-30] * 2, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(roots(x), np.sqrt(x))


EXACT = {
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "exponential": np.exp,
    "erf": special.erf,
    "gelu": lambda z: z * special.ndtr(z),
    "sine": np.sin,
    "cosine": np.cos,
    "arctan": np.arctan,
    "arcsinh": np.arcsinh,
    "softplus": lambda z: np.logaddexp(0, z),
    "log_sigmoid": lambda z: -np.logaddexp(0, -z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "gaussian": lambda z: np.exp(-z * z),
}
PARAMETERS = {"sine": [1.0, 0, 0, 0], "softplus": [1.0, 700.0, 0, 0], "elu": [1.0, 1.0, 1.0, 0]}


@pytest.mark.parametrize("name", EXACT)
def test_functions_in_double_keep_twelve_digits(name: str) -> None:
    """Far more than the sign of a residual needs that float32 cannot tell."""
    z = np.concatenate([np.linspace(-30, 30, 20_001), np.geomspace(1e-12, 1, 500), -np.geomspace(1e-12, 1, 500)])
    h, four = np.empty_like(z), np.array(PARAMETERS.get(name, [0.0] * 4))
    kernel().firstlight_activate_exact(CODES[name], four.ctypes.data, z.ctypes.data, h.ctypes.data, z.size)
    expected = EXACT[name](z)
    away = np.abs(h - expected)
    # gelu's tail is a difference from 1 where erfc is near it
    assert (away <= 2e-12 * np.abs(expected) + 1e-300).all(), z[np.argmax(away / (np.abs(expected) + 1e-300))]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "arctan", "exponential", "sine", "gelu"])
def test_what_is_no_number_stays_none_in_double(name: str) -> None:
    z = np.full(3, np.nan)
    h, four = np.zeros(3), np.array([1.0, 0, 0, 0])
    kernel().firstlight_activate_exact(CODES[name], four.ctypes.data, z.ctypes.data, h.ctypes.data, 3)
    assert np.isnan(h).all()
