"""What the kernel refuses, and how."""

import numpy as np
import pytest

from services.training.native.between import Between
from services.training.native.description import NativeDescription, supports, unsupported

SGD = {"kind": "sgd"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (6,)}, "widths"),
        ({"widths": (6, 0, 1)}, "widths"),
        ({"loss": "hinge"}, "loss 'hinge' is not in the kernel"),
        ({"loss": "binary_cross_entropy", "widths": (6, 5, 2)}, "one output for both classes, not 2"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"activations": [{"kind": "maxout"}]}, "activation 'maxout' is not in the kernel"),
        ({"activations": [{"kind": "glu"}, {"kind": "relu"}], "optimizers": [SGD, SGD]}, "cannot share a cohort"),
        ({"between": Between(dropout=1.0)}, "dropout must be at least 0 and less than 1, not 1.0"),
        ({"optimizers": [{"kind": "lion"}]}, "optimizer 'lion' is not in the kernel"),
        ({"activations": []}, "one activation and one optimizer per trial"),
    ],
)
def test_what_is_not_supported_is_said(change, message):
    plain = {
        "widths": (6, 5, 1),
        "loss": "mae",
        "batch_size": 8,
        "activations": [{"kind": "relu"}],
        "optimizers": [SGD],
    }
    assert supports(NativeDescription(**plain))
    description = NativeDescription(**{**plain, **change})
    assert not supports(description)
    assert message in unsupported(description)


def test_data_that_does_not_fit_is_refused(study):
    s = study((6, 5, 3), loss="cross_entropy")
    cohort = s.cohort()
    with pytest.raises(ValueError, match="features must have shape"):
        cohort.set_training_rows(s.x[:, :5], s.y)
    with pytest.raises(ValueError, match="class numbers"):
        cohort.set_training_rows(s.x, s.y + 1)
    with pytest.raises(ValueError, match="class numbers"):
        cohort.set_validation_rows(s.x, s.y.astype(np.float32))
    with pytest.raises(ValueError, match="targets must have shape"):
        cohort.set_training_rows(s.x, s.y[:5])


def test_an_order_that_does_not_fit_is_refused(study):
    s = study((6, 5, 1))
    cohort = s.cohort()
    with pytest.raises(ValueError, match="order must hold 150 row numbers"):
        cohort.run_epoch(s.orders[:, :-1])
    with pytest.raises(ValueError, match="order must hold 150 row numbers"):
        cohort.run_epoch(s.orders + 1)
    with pytest.raises(ValueError, match="order_of_trial"):
        cohort.run_epoch(s.orders, np.array([1]))
    with pytest.raises(ValueError, match="learning_rates"):
        cohort.run_epoch(s.orders, learning_rates=np.ones(2))


def test_dropout_needs_a_seed_for_every_trial(study):
    s = study((6, 5, 1), between=Between(dropout=0.5))
    cohort = s.cohort()
    with pytest.raises(ValueError, match="needs the streams of its masks"):
        cohort.run_epoch(s.orders)
    with pytest.raises(ValueError, match="one seed for each of 1 trials"):
        cohort.run_epoch(s.orders, dropout=(np.zeros(2, dtype=np.uint64), 1))


def test_statistics_are_pooled_for_batch_norm_only(study):
    cohort = study((6, 5, 1), between=Between(dropout=0.5)).cohort()
    with pytest.raises(ValueError, match="network with batch norm"):
        cohort.pooled_statistics(10)


def test_parameters_that_do_not_fit_are_refused(study):
    s = study((6, 5, 1))
    cohort = s.cohort()
    with pytest.raises(ValueError, match="layer 1 needs shapes"):
        cohort.set_parameters([s.weights[0], s.weights[0]], s.biases)
    with pytest.raises(ValueError, match="2 layers need"):
        cohort.set_parameters(s.weights[:1], s.biases[:1])
