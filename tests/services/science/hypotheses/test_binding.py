"""Claims are held against the grid."""

import pytest

from services.science.hypotheses import HypothesisError, Terms, bind, parse


def arms_of(text: str, terms: Terms) -> set[int]:
    return set(bind(parse(f"val_loss({text}) < 1"), terms).terms[0].arms)


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("relu", lambda arm: arm.activation.kind == "relu"),
        ("he_uniform, relu", lambda arm: arm.activation.kind == "relu" and arm.initializer.kind == "he_uniform"),
        ("relu, tanh", lambda arm: arm.activation.kind in ("relu", "tanh")),
        ("leaky_relu", lambda arm: arm.activation.kind == "leaky_relu"),
        ("leaky_relu(negative_slope=0.1)", lambda arm: arm.activation.kind == "leaky_relu"),
        ("lrelu(negative_slope=.10)", lambda arm: arm.activation.kind == "leaky_relu"),
        ("sgd(learning_rate=0.1)", lambda arm: arm.optimizer.learning_rate == 0.1),
        ("sgd", lambda arm: arm.optimizer.learning_rate == 0.01),
        ("sgd(learning_rate=0.01)", lambda arm: arm.optimizer.learning_rate == 0.01),
        ("sgd(learning_rate=1e-2)", lambda arm: arm.optimizer.learning_rate == 0.01),
        ("sgd(*)", lambda _: True),
        ("*", lambda _: True),
        ("batch 32", lambda _: True),
        ("activation=tanh, heuniform", lambda arm: arm.activation.kind == "tanh" and "he" in arm.initializer.kind),
        ("best(tanh)", lambda arm: arm.activation.kind == "tanh"),
    ],
)
def test_a_selector_means_exactly_its_arms(terms: Terms, selector: str, holds: object) -> None:
    assert arms_of(selector, terms) == {i for i, arm in enumerate(terms.arms) if holds(arm)}  # type: ignore[operator]


def test_the_label_of_every_arm_selects_it_alone(terms: Terms, grid: object) -> None:
    for index, label in enumerate(grid.labels):  # type: ignore[attr-defined]
        assert arms_of(label, terms) == {index}


@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "sgd", "learning_rate": [0.01, 0.1], "momentum": 0.9},
        [{"kind": "sgd", "clip_norm": None}, {"kind": "sgd", "clip_norm": 1.0}, {"kind": "sgd", "momentum": 0.5}],
        [{"kind": "sgd", "learning_rate": rate, "momentum": mass} for rate in (0.01, 1e-05) for mass in (0, 0.9)],
        ["sgd", {"kind": "adam", "learning_rate": 0.12345678}, {"kind": "adam", "learning_rate": 0.12345679}],
    ],
)
def test_new_and_old_labels_of_varied_parameters_select_their_arm_alone(optimizer: object) -> None:
    from services.science.grid import expand
    from services.science.spec import ExperimentSpec

    document = {"dataset": "digits", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
    made = expand(ExperimentSpec.model_validate({**document, "optimizer": optimizer}))
    own_terms = Terms(made.arms, ("val_loss",), 1)
    for index, arm in enumerate(made.arms):
        assert arms_of(made.labels[index], own_terms) == {index}
        # Before the varied parameters were named, a label told only what differs from the defaults.
        assert arms_of(arm.optimizer.label(), own_terms) == {index}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("val_lss(relu) < 1", 0, "did you mean 'val_loss'?"),
        ("val_rmse(relu) < 1", 0, "this experiment measures val_loss, val_accuracy"),
        ("val_loss(rleu) < 1", 9, "did you mean 'relu'?"),
        ("val_loss(leaky_relu(negative_slope=0.2)) < 1", 9, "no arm of this experiment has"),
        ("val_loss(leaky_relu(slope=0.1)) < 1", 9, "no arm of this experiment has"),
        ("val_loss(initializer=relu) < 1", 21, "its arms have initializer: he_uniform, glorot_uniform"),
        ("val_loss(batch 64) < 1", 9, "batch 32"),
        ("val_loss@5(relu) < 1", 0, "runs from 0 to 4"),
        ("train_loss@0(relu) < 1", 0, "runs from 1 to 4"),
        ("gap(train_loss)(relu) < 1", 0, "has no gap"),
        ("jumpiness(best_val_loss)(relu) < 1", 0, "leave the epoch out"),
        ("val_loss(relu) < val_loss(relu)", 0, "nothing to find out"),
        ("val_loss(relu) - val_loss(tanh) <= val_loss(relu) - val_loss(tanh) + 1", 0, "nothing to find out"),
        ("epochs_to(val_accuracy >= 0.5)(relu) < 5", 0, "runs 4 epochs"),
        ("val_loss(sgd(learning_rate=0.2)) < 1", 9, "sgd(learning_rate=0.01), sgd(learning_rate=0.1)"),
        ("5 > epochs_to(val_accuracy >= 0.5)(relu)", 4, "runs 4 epochs"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(terms: Terms, text: str, place: int, words: str) -> None:
    with pytest.raises(HypothesisError) as caught:
        bind(parse(text), terms)
    assert caught.value.position == place
    assert words in str(caught.value)


def test_a_name_on_two_axes_has_to_be_qualified() -> None:
    from services.science.grid import expand
    from services.science.spec import ExperimentSpec

    spec = ExperimentSpec.model_validate(
        {
            "dataset": "digits",
            "activation": ["identity", "relu"],
            "initializer": ["identity", "zeros"],
            "epochs": 1,
            "seeds": 1,
        }
    )
    terms = Terms(expand(spec).arms, ("val_loss",), 1)
    with pytest.raises(HypothesisError, match="write activation=identity or initializer=identity"):
        bind(parse("val_loss(identity) < 1"), terms)
    assert arms_of("activation=identity", terms) == {0, 1}
    assert arms_of("initializer=identity", terms) == {0, 2}


def test_an_empty_crossing_of_explicit_arms() -> None:
    from services.science.grid import expand
    from services.science.spec import ExperimentSpec

    arms = [{"activation": "relu", "initializer": "he_normal"}, {"activation": "selu", "initializer": "lecun_normal"}]
    spec = ExperimentSpec.model_validate({"dataset": "digits", "arms": arms, "epochs": 1, "seeds": 1})
    terms = Terms(expand(spec).arms, ("val_loss",), 1)
    with pytest.raises(HypothesisError, match="no arm of this experiment is selu, he_normal") as caught:
        bind(parse("val_loss(selu, he_normal) < 1"), terms)
    assert caught.value.position == 8
