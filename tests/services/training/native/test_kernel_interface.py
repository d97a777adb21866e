"""What the kernel refuses, and how."""

import numpy as np
import pytest

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
        ({"activations": [{"kind": "prelu"}]}, "activation 'prelu' is not in the kernel"),
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


def test_parameters_that_do_not_fit_are_refused(study):
    s = study((6, 5, 1))
    cohort = s.cohort()
    with pytest.raises(ValueError, match="layer 1 needs shapes"):
        cohort.set_parameters([s.weights[0], s.weights[0]], s.biases)
    with pytest.raises(ValueError, match="2 layers need"):
        cohort.set_parameters(s.weights[:1], s.biases[:1])
