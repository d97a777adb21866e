"""Every preset can be submitted, in its own size and in a smaller one, and its claims fit its grid."""

import math

import pytest
from pydantic import ValidationError

from services.science.activations import ACTIVATIONS
from services.science.grid import expand, size
from services.science.hypotheses import Terms, bind, parse
from services.science.hypotheses.metrics import claimable_metrics
from services.science.initializers import INITIALIZERS
from services.science.layer_scales import layer_scales
from services.science.models import Mlp
from services.science.presets import PRESETS, Preset
from services.science.presets.catalogue_tour import EXPLODING, worst_initializer
from services.science.presets.overrides import resize
from services.science.spec import ExperimentSpec
from services.science.theory.propagation import predict

EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


@EACH
def test_it_validates_expands_and_its_claims_fit(preset: Preset) -> None:
    spec = ExperimentSpec.model_validate(preset.spec)
    grid = expand(spec)
    assert len(grid.trials) == size(spec) <= 2_000
    assert spec.name == preset.name
    assert "preset" in spec.tags
    terms = Terms(grid.arms, claimable_metrics(spec), spec.epochs)
    for text in spec.hypotheses:
        bind(parse(text), terms)
    tested = {text for claim in preset.claims for text in claim.hypotheses}
    assert not tested or tested == set(spec.hypotheses)
    assert all(claim.hypotheses or claim.note for claim in preset.claims)
    assert ExperimentSpec.model_validate(spec.canonical()) == spec.resolved()


@EACH
def test_it_says_what_it_asks_and_where_that_is_from(preset: Preset) -> None:
    assert preset.name in PRESETS
    assert preset.question.endswith("?")
    assert preset.source
    assert preset.description
    assert preset.references
    keys = [claim.key for claim in preset.claims]
    assert len(set(keys)) == len(keys) > 0


@EACH
def test_a_smaller_size_is_said_in_the_spec(preset: Preset) -> None:
    resized = resize(preset, epochs=2, seeds=2, train_size=100)
    spec = ExperimentSpec.model_validate(resized.spec)
    grid = expand(spec)
    terms = Terms(grid.arms, claimable_metrics(spec), spec.epochs)
    for text in spec.hypotheses:
        bind(parse(text), terms)
    assert (spec.epochs, len(spec.seeds), spec.dataset.train_size) == (2, 2, 100)
    assert "shrunk" in spec.tags
    assert spec.name is not None
    assert spec.name.startswith(f"{preset.name} (shrunk: ")
    own = ExperimentSpec.model_validate(preset.spec)
    assert f"epochs {own.epochs} → 2" in resized.shrunk
    left_out = [entry for entry in resized.shrunk if entry.startswith("without the hypothesis")]
    assert len(left_out) + len(spec.hypotheses) == len(own.hypotheses)


@EACH
def test_its_own_size_is_itself(preset: Preset) -> None:
    own = ExperimentSpec.model_validate(preset.spec)
    for resized in (resize(preset), resize(preset, epochs=own.epochs, seeds=preset.spec["seeds"])):
        assert resized.shrunk == []
        assert resized.spec == preset.spec


def test_a_size_that_the_data_do_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="train_size 5000 is more than"):
        resize(PRESETS["quickstart"], train_size=5_000)


@pytest.mark.parametrize(
    "kind", ["relu", "tanh", "sigmoid", "selu", "siren", "exponential", "squared_relu", "lisht", "snake"]
)
def test_the_worse_of_two_draws_is_the_one_that_theory_expects(kind: str) -> None:
    member = ACTIVATIONS[kind].model_validate({"kind": kind})
    layers = Mlp(hidden=(50,) * 6).weight_layers(50, 50, member.width_factor)
    lost = {}
    for name in ("random_uniform", "normal"):
        initializer = INITIALIZERS[name].model_validate({"kind": name})
        ratio = predict(member, layer_scales(member, initializer, layers)).gradient_ratio
        lost[name] = math.inf if not ratio else abs(math.log10(ratio))
    assert max(lost, key=lost.__getitem__) == worst_initializer(kind)


def test_the_tour_visits_every_activation_twice() -> None:
    arms = expand(ExperimentSpec.model_validate(PRESETS["catalogue_tour"].spec)).arms
    assert len(arms) == 2 * len(ACTIVATIONS)
    assert {arm.activation.kind for arm in arms} == set(ACTIVATIONS)
    assert set(ACTIVATIONS) >= EXPLODING
