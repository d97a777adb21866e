"""Weights of NumPy's legacy generator against that generator itself, drawn as an exercise draws them."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from services.science.initializers import Initializer, LayerContext
from services.science.streams import Purpose, stream

ADAPTER = TypeAdapter(Initializer)
WIDTHS = (2, 10, 5, 1)
SHAPES = tuple(itertools.pairwise(WIDTHS))


def network(seed: int = 0, **parameters: object) -> list[np.ndarray]:
    """Every layer as a trial with this seed gets it."""
    member = ADAPTER.validate_python({"kind": "legacy_randn", **parameters})
    weights = []
    for layer, shape in enumerate(SHAPES):
        context = LayerContext.of(shape, layer=layer, depth=3, before=SHAPES[:layer])
        weights.append(member.draw(shape, stream(seed, Purpose.WEIGHTS, layer), context))
    return weights


@pytest.mark.parametrize("numpy_seed", [0, 3, 2**32 - 1])
@pytest.mark.parametrize(
    ("scale", "factor"),
    [
        (1.0, lambda _: 1.0),
        (10, lambda _: 10.0),
        (0.01, lambda _: 0.01),
        ("xavier_fan_in", lambda fan_in: np.sqrt(1 / fan_in)),
        ("he", lambda fan_in: np.sqrt(2 / fan_in)),
    ],
)
def test_they_are_the_numbers_of_numpys_global_generator(
    numpy_seed: int, scale: object, factor: Callable[[int], float]
) -> None:
    state = np.random.get_state()
    try:
        np.random.seed(numpy_seed)  # noqa: TID251 - what is reproduced here
        expected = [np.random.randn(n_out, n_in) * factor(n_in) for n_in, n_out in SHAPES]
    finally:
        np.random.set_state(state)
    for ours, theirs in zip(network(numpy_seed=numpy_seed, scale=scale), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.T, rtol=1e-15)


def test_the_first_number_of_seed_3_is_the_published_one() -> None:
    # Any NumPy prints 1.78862847 first after numpy.random.seed(3); the exercise's W1 begins with 17.88628473.
    assert network(numpy_seed=3, scale=10)[0][0, 0] == pytest.approx(17.88628473, abs=1e-8)


def test_the_trials_seed_does_not_matter() -> None:
    for one, other in zip(network(seed=1), network(seed=2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_kernel_is_drawn_in_its_own_shape() -> None:
    member = ADAPTER.validate_python({"kind": "legacy_randn", "numpy_seed": 5, "scale": "he"})
    context = LayerContext.of((4, 3, 2, 2), layer=1, before=((6, 3, 1, 1),))
    generator = np.random.RandomState(5)
    generator.randn(18)
    np.testing.assert_allclose(
        member.draw((4, 3, 2, 2), stream(0, Purpose.WEIGHTS), context), generator.randn(4, 3, 2, 2) * np.sqrt(2 / 12)
    )


def test_a_later_layer_alone_is_refused() -> None:
    member = ADAPTER.validate_python("legacy_randn")
    with pytest.raises(ValueError, match="layer 2 needs the shapes of the 2 layers before it, not of 0"):
        member.draw((4, 4), stream(0, Purpose.WEIGHTS), LayerContext.of((4, 4), layer=2))


@pytest.mark.parametrize(
    "parameters", [{"scale": "glorot"}, {"scale": -1}, {"numpy_seed": -1}, {"numpy_seed": 2**32}, {"numpy_seed": 0.5}]
)
def test_what_numpy_would_not_take_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python({"kind": "legacy_randn", **parameters})


def test_its_label_says_which_weights() -> None:
    labels = [
        ADAPTER.validate_python({"kind": "legacy_randn", "numpy_seed": 3, "scale": scale}).label()
        for scale in (1, 0.01, "he")
    ]
    assert labels == [
        "legacy_randn(numpy_seed=3)",
        "legacy_randn(numpy_seed=3, scale=0.01)",
        "legacy_randn(numpy_seed=3, scale=he)",
    ]
