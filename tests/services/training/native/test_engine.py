"""The kernel as an engine beside the reference engine."""

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.science.initializers import INITIALIZERS
from services.science.losses import Loss
from services.science.models import Mlp
from services.science.optimizers import OPTIMIZERS
from services.science.streams import Purpose, stream
from services.training.eager import EagerEngine
from services.training.engine import CohortDescription, Rows, TrialPlan
from services.training.initial import draw_layers
from services.training.native.engine import NativeEngine, unsupported


def quiet(_share: float) -> bool:
    return False


def plans(kinds=("tanh", "sigmoid", "gelu"), seeds=(0, 1), optimizer=None) -> tuple[TrialPlan, ...]:
    optimizer = optimizer or {"kind": "sgd", "learning_rate": 0.05}
    rule = OPTIMIZERS[optimizer["kind"]].model_validate(optimizer)
    start = INITIALIZERS["glorot_uniform"].model_validate({})
    return tuple(TrialPlan(ACTIVATIONS[kind].model_validate({}), start, rule, seed) for kind in kinds for seed in seeds)


def cohort(trials=None, loss: Loss = "mae", hidden=(20, 15), epochs=4) -> tuple[CohortDescription, Rows]:
    rng = stream(0, Purpose.SYNTHETIC)
    x = rng.normal(size=(700, 2, 3)).astype(np.float32)
    outputs = 4 if loss == "cross_entropy" else 1
    classes = {"cross_entropy": 4, "binary_cross_entropy": 2}.get(loss)
    y = rng.integers(0, classes, 700) if classes else x[:, 0, :1] ** 2 - x[:, 1, 2:]
    description = CohortDescription(trials or plans(), Mlp(hidden=hidden), loss, (2, 3), outputs, 32, epochs)
    return description, Rows(x[:500], y[:500], x[500:], y[500:])


def native(description: CohortDescription, rows: Rows, threads: int = 2) -> NativeEngine:
    return NativeEngine(description, draw_layers(description, rows.x_train), rows, threads)


def eager(description: CohortDescription, rows: Rows) -> EagerEngine:
    return EagerEngine(description, draw_layers(description, rows.x_train), rows, "cpu")


RULES = [
    {"kind": "sgd", "learning_rate": 0.05, "schedule": {"kind": "cosine"}},
    {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    {"kind": "adam", "learning_rate": 0.003},
    {"kind": "adamw", "learning_rate": 0.003},
    {"kind": "rmsprop", "learning_rate": 0.002, "momentum": 0.5},
    {"kind": "adagrad", "learning_rate": 0.02, "initial_accumulator": 0.1},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['kind']}-{len(rule)}")
@pytest.mark.parametrize("loss", ["mae", "mse", "cross_entropy", "binary_cross_entropy"])
def test_both_engines_agree(rule, loss):
    description, rows = cohort(plans(optimizer=rule), loss)
    engines = [native(description, rows), eager(description, rows)]
    for epoch in range(1, 4):
        ours, theirs = [engine.train_epoch(epoch, quiet) for engine in engines]
        np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-4)
        assert ours.rows == theirs.rows == 500
        ours, theirs = [engine.evaluate(quiet) for engine in engines]
        assert ours.rows == theirs.rows == 200
        np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-4)
        for name in ("correct", "absolute", "squared"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1.0 if name == "correct" else 0.0)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['kind']}-{len(rule)}")
def test_the_state_has_the_reference_engines_names_and_shapes(rule):
    description, rows = cohort(plans(optimizer=rule))
    ours, theirs = native(description, rows).state(), eager(description, rows).state()
    assert sum(name.startswith("residual.") for name in ours) == 6
    assert ours.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_array_equal(ours[name], np.float32(theirs[name]), err_msg=name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['kind']}-{len(rule)}")
def test_a_loaded_state_goes_on_bit_for_bit(rule):
    description, rows = cohort(plans(optimizer=rule))
    straight, first, second = (native(description, rows, threads) for threads in (1, 2, 3))
    for epoch in (1, 2):
        straight.train_epoch(epoch, quiet)
    first.train_epoch(1, quiet)
    second.load_state(first.state())
    second.train_epoch(2, quiet)
    ours, theirs = second.state(), straight.state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_state_of_another_cohort_is_refused():
    engine = native(*cohort())
    wider = native(*cohort(hidden=(21, 15)))
    deeper = native(*cohort(hidden=(20, 15, 3)))
    with pytest.raises(ValueError, match=r"parameters\.dense_0\.weight has shape \(6, 6, 21\)"):
        engine.load_state(wider.state())
    with pytest.raises(ValueError, match=r"it differs in parameters\.dense_3"):
        engine.load_state(deeper.state())


def test_a_diverged_trial_has_a_loss_that_is_not_finite():
    wild = plans(("identity",), (0,), {"kind": "sgd", "learning_rate": 1e4})
    description, rows = cohort((*plans(), *wild), "mse")
    engine = native(description, rows)
    sums = [engine.train_epoch(epoch, quiet) for epoch in (1, 2)]
    assert all(done.whole for done in sums)
    losses = np.array([done.loss for done in sums])
    assert np.isfinite(losses[:, :-1]).all()
    assert not np.isfinite(losses[:, -1]).all()


def test_an_epoch_can_be_stopped():
    engine = native(*cohort())
    assert not engine.train_epoch(1, lambda _: True).whole
    assert engine.evaluate(lambda _: True) is None


@pytest.mark.parametrize(
    ("kinds", "message"),
    [(("glu", "tanh"), "cannot share a cohort")],
)
def test_what_the_engine_cannot_train_is_said(kinds, message):
    description, rows = cohort(plans(kinds))
    assert message in unsupported(description)
    with pytest.raises(ValueError, match=message):
        native(description, rows)
