"""The kernel against an independent network in float64."""

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.training.native.members import ENCODERS

OPTIMIZERS = [
    {"kind": "sgd", "learning_rate": 0.05},
    {"kind": "sgd", "learning_rate": 0.05, "weight_decay": 0.02},
    {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"kind": "sgd", "learning_rate": 0.5, "clip_norm": 0.1},
    {"kind": "adam", "learning_rate": 0.003},
    {"kind": "adam", "learning_rate": 0.003, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "weight_decay": 0.1},
    {"kind": "adamw", "learning_rate": 0.003, "weight_decay": 0.5},
    {"kind": "adamw", "learning_rate": 0.003, "clip_norm": 0.01},
    {"kind": "rmsprop", "learning_rate": 0.002},
    {"kind": "rmsprop", "learning_rate": 0.002, "decay": 0.9, "momentum": 0.5, "weight_decay": 0.1},
    {"kind": "adagrad", "learning_rate": 0.02, "initial_accumulator": 0.1, "learning_rate_decay": 0.05},
]


@pytest.mark.parametrize(
    "widths", [(6, 50, 50, 1), (3, 1, 3, 2), (129, 17, 1), (1, 129, 5, 64, 3), (20, 4), (2, 7, 31, 47, 1)]
)
@pytest.mark.parametrize("batch_size", [7, 32, 100, 500])
def test_every_size_agrees_with_the_reference(study, widths, batch_size):
    study(widths, batch_size=batch_size).assert_agrees()


@pytest.mark.parametrize("batch_size", [1, 16, 17, 48, 64])
def test_every_way_to_cut_a_batch_agrees(study, batch_size):
    study((6, 50, 20, 1), batch_size=batch_size, rows=131).assert_agrees(epochs=1)


@pytest.mark.parametrize("batch_size", [65, 128, 150, 300])
def test_a_network_larger_than_the_caches_agrees(study, batch_size):
    rule = {"kind": "sgd", "learning_rate": 0.01}
    momentum = {**rule, "momentum": 0.5}
    activations = [{"kind": "tanh"}, {"kind": "sigmoid"}]
    study(
        (256, 260, 3), batch_size=batch_size, rows=300, activations=activations, optimizers=[rule, momentum]
    ).assert_agrees(epochs=2)


@pytest.mark.parametrize("loss", ["mae", "mse", "huber", "cross_entropy"])
@pytest.mark.parametrize("outputs", [2, 10, 19])
def test_every_loss_agrees(study, loss, outputs):
    study((5, 30, outputs), loss=loss, batch_size=20, huber_delta=0.7).assert_agrees()


@pytest.mark.parametrize("widths", [(5, 30, 1), (2, 10, 5, 1), (4, 1)])
@pytest.mark.parametrize("batch_size", [7, 20, 64, 150])
def test_one_output_for_two_classes_agrees(study, widths, batch_size):
    study(widths, loss="binary_cross_entropy", batch_size=batch_size).assert_agrees()


@pytest.mark.parametrize("logit", [-30.0, -8.0, -1.0, 0.0, 1.0, 8.0, 30.0])
@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_keeps_its_digits_far_out(study, logit, label):
    """One step of a single bias: its change is the loss's slope, sigmoid(z) - y."""
    s = study((1, 1), loss="binary_cross_entropy", optimizers=[{"kind": "sgd", "learning_rate": 1.0}], rows=1)
    s.weights, s.biases = [np.zeros((1, 1, 1), np.float32)], [np.full((1, 1), logit, np.float32)]
    s.y = np.array([label])
    cohort = s.cohort()
    before = cohort.evaluate()
    sums = cohort.run_epoch(s.orders)
    side = 1 - 2 * label
    expected = np.logaddexp(0.0, side * logit)
    np.testing.assert_allclose([before.loss[0], sums.loss[0]], expected, rtol=1e-6)
    assert before.correct[0] == sums.correct[0] == int((logit > 0) == (label == 1))
    (bias,) = cohort.get_parameters()[1]
    step = side / (1 + np.exp(-side * logit))
    np.testing.assert_allclose(bias[0, 0], logit - step, rtol=1e-6, atol=1e-7)


def test_a_cohort_of_every_optimizer_agrees(study):
    study((6, 24, 10, 1), optimizers=OPTIMIZERS, activations=[{"kind": "tanh"}] * len(OPTIMIZERS)).assert_agrees(
        3, 3e-4
    )


def test_a_learning_rate_per_call_replaces_the_optimizers_own(study):
    slow = study((4, 8, 1), optimizers=[{"kind": "sgd", "learning_rate": 0.01}])
    fast = study((4, 8, 1), optimizers=[{"kind": "sgd", "learning_rate": 1.0}])
    one, other = slow.cohort(), fast.cohort()
    one.run_epoch(slow.orders)
    other.run_epoch(slow.orders, learning_rates=np.array([0.01]))
    assert np.array_equal(one.get_state()["parameters"], other.get_state()["parameters"])


@pytest.mark.parametrize("loss", ["mae", "mse", "huber", "cross_entropy", "binary_cross_entropy"])
def test_evaluation_agrees_with_the_reference(study, loss):
    outputs = 1 if loss == "binary_cross_entropy" else 4
    s = study((6, 50, outputs), loss=loss, activations=[{"kind": "tanh"}, {"kind": "relu"}], huber_delta=0.5)
    sums = s.cohort().evaluate()
    n = s.rows // 2 + 1
    x, y = s.x[:n].astype(np.float64), s.y[:n]
    assert sums.rows == n
    for trial in range(2):
        reference = s.reference(trial)
        z = reference.forward(x)
        np.testing.assert_allclose(sums.loss[trial], reference.row_losses(z, y)[0].sum(), rtol=1e-5)
        if loss == "cross_entropy":
            assert sums.correct[trial] == (z.argmax(axis=1) == y).sum()
        elif loss == "binary_cross_entropy":
            assert sums.correct[trial] == ((z[:, 0] > 0) == (y == 1)).sum()
        else:
            np.testing.assert_allclose(sums.absolute[trial], np.abs(z - y).sum(), rtol=1e-5)
            np.testing.assert_allclose(sums.squared[trial], np.square(z - y).sum(), rtol=1e-5)


def test_training_counts_correct_rows_as_they_are_used(study):
    s = study((6, 16, 5), loss="cross_entropy", optimizers=[{"kind": "sgd", "learning_rate": 1e-30}], rows=77)
    sums = s.cohort().run_epoch(s.orders)
    expected = (s.reference(0).forward(s.x.astype(np.float64)).argmax(axis=1) == s.y).sum()
    assert sums.correct[0] == expected


def test_rounding_does_not_add_up_over_steps(study):
    """After 2,500 steps the kernel stands where float64 does, to a few float32 roundings; plain float32 does not."""
    s = study((6, 20, 10, 1), batch_size=4, optimizers=[{"kind": "sgd", "learning_rate": 0.003}], rows=500)
    cohort, exact, plain = s.cohort(), s.reference(0), s.reference(0)
    for _ in range(20):
        cohort.run_epoch(s.orders)
        exact.train(s.x, s.y, s.orders[0], 4)
        for first in range(0, 500, 4):
            plain.train(s.x, s.y, s.orders[0, first : first + 4], 4)
            plain.weights = [w.astype(np.float32).astype(np.float64) for w in plain.weights]
    distance = [np.abs(w[0] - e).max() for w, e in zip(cohort.get_parameters()[0], exact.weights, strict=True)]
    rounded = [np.abs(p - e).max() for p, e in zip(plain.weights, exact.weights, strict=True)]
    assert max(distance) < 3e-7
    assert max(rounded) > 2 * max(distance)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "adam", "learning_rate": 1e-5},
        {"kind": "adamw", "learning_rate": 1e-5, "beta_2": 0.997},
        {"kind": "rmsprop", "learning_rate": 1e-5},
    ],
)
def test_moving_squares_are_not_biased_by_the_rounding_of_their_decay(study, rule):
    """0.999 and 0.001, each rounded to float32, add up to 1 + 1.3e-8: after many steps a mean would be 1.3e-5 off."""
    s = study((6, 8, 1), batch_size=2, optimizers=[rule], rows=500)
    cohort, exact = s.cohort(), s.reference(0)
    for _ in range(12):
        cohort.run_epoch(s.orders)
        exact.train(s.x, s.y, s.orders[0], 2)
    for layer, view in enumerate(cohort.layer_views(0 if rule["kind"] == "rmsprop" else 1)):
        expected = np.vstack([exact.rules[2 * layer].memory["v"], exact.rules[2 * layer + 1].memory["v"]])
        assert abs(np.median(view[0] / expected) - 1.0) < 3e-7


def test_a_gradient_whose_square_overflows_leaves_finite_numbers(study):
    rules = [{"kind": "adam", "learning_rate": 1e-3}, {"kind": "rmsprop", "learning_rate": 1e-3}]
    s = study((1, 1), optimizers=rules, activations=[{"kind": "tanh"}] * 2, loss="mae", rows=64, batch_size=16)
    s.x *= np.float32(1e25)
    s.weights = [np.zeros((2, 1, 1), np.float32)]
    cohort = s.cohort()
    cohort.run_epoch(s.orders)
    state = cohort.get_state()
    assert all(np.isfinite(state[name]).all() for name in ("parameters", "moments"))


def test_trials_may_share_an_order(study):
    s = study((4, 8, 1), activations=[{"kind": "tanh"}] * 3)
    shared, separate = s.cohort(), s.cohort()
    shared.run_epoch(s.orders[:2], np.array([1, 0, 1]))
    separate.run_epoch(s.orders[[1, 0, 1]])
    assert np.array_equal(shared.get_state()["parameters"], separate.get_state()["parameters"])


RATES = {"exponential": 1e-6, "siren": 1e-6}
"""Where 0.01 throws the reference itself about."""


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_every_activation_agrees(study, kind):
    options = {
        "activations": [ACTIVATIONS[kind].model_validate({}).model_dump()],
        "optimizers": [{"kind": "sgd", "learning_rate": RATES.get(kind, 0.01)}],
        "rows": 100,
        "batch_size": 24,
    }
    study((4, 9, 3), **options).assert_agrees(epochs=1)
    if kind != "exponential":  # exp of exp overflows
        study((6, 50, 20, 1), **options).assert_agrees(epochs=1)


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.3, 1.0])
def test_every_slope_of_leaky_relu_agrees(study, slope):
    activations = [{"kind": "leaky_relu", "negative_slope": slope}]
    optimizers = [{"kind": "sgd", "learning_rate": 0.01}]
    study((6, 30, 20, 1), activations=activations, optimizers=optimizers, batch_size=40).assert_agrees(epochs=1)
