"""Equal units have equal gradients, and a rounding that depended on a unit's place would part them."""

import pytest

from tests.golden.symmetry import broken


@pytest.mark.parametrize("first", range(4))
def test_units_that_start_equal_stay_equal_to_the_bit(first: int) -> None:
    """Widths 1 to 70 over four tests, all activations; `tests.golden.symmetry` takes 10,000 steps."""
    assert broken(range(1 + first, 71, 4), steps=15) == []
