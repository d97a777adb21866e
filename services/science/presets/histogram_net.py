"""What ten layers of 500 units do to a signal, at seven scales of the weights, without and with batch norm."""

from typing import Any

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import GLOROT_2010, HE_2015, IOFFE_2015, SYMMETRY_DOCUMENT
from services.science.presets.symmetry import SEVEN_WEIGHTS

CS231N = "CS231n, Neural networks 2, Stanford"


def _spec(**model: Any) -> dict[str, Any]:
    return {
        # A thousand rows to train on and a thousand to look at, as many as the source's figures have.
        "dataset": {"name": "gaussian_inputs", "size": 2_000, "validation_fraction": 0.5},
        "model": {"kind": "mlp", "hidden": [500] * 10, **model},
        "activation": ["tanh", "relu"],
        "initializer": SEVEN_WEIGHTS,
        "optimizer": {"kind": "sgd", "learning_rate": 0.001},
        "batch_size": 100,
        "loss": "mse",
        "epochs": 4,
        "seeds": 7,
        "diagnostics": {
            "schedule": [0, 4],
            "quantities": ["moments", "histogram", "saturation", "dead_units", "distinct_units", "gradients"],
        },
    }


HISTOGRAM_NET = Preset(
    name="histogram_net",
    title="What ten layers of 500 units do to a signal at seven scales of the weights",
    question="At which scale of the weights does a signal reach the tenth layer, and the gradient the first?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "Ten hidden layers of 500 units on 500 standard normal inputs, tanh and relu. The diagnostics of epoch 0 hold "
        "the source's figures: mean, deviation and histogram of every layer. Under tanh the deviation falls from 0.21 "
        "to 3e-7 with 0.01 times a normal, stays at 0.98 with a plain normal, all units saturated, and falls slowly, "
        "0.63 to 0.23, with Xavier's; under relu it halves every two layers with Xavier's and keeps 0.83 with He's. "
        "Four epochs of training show what that means for learning."
    ),
    references=(SYMMETRY_DOCUMENT, GLOROT_2010, HE_2015, CS231N),
    claims=(
        DocumentClaim(
            key="S6",
            statement="Xavier keeps tanh's layers alive but not relu's; He keeps relu's.",
            hypotheses=(
                "train_loss(relu, kaiming_normal) < train_loss(relu, xavier_fan_in)",
                "train_loss(tanh, xavier_fan_in) < train_loss(tanh, scaled_normal(scale=0.01))",
            ),
            note="The layers themselves are in the diagnostics; the claims look at the learning that follows.",
        ),
    ),
    spec=_spec(),
)

HISTOGRAM_NET_BATCH_NORM = Preset(
    name="histogram_net_batch_norm",
    title="The same ten layers with batch norm before the activation",
    question="Does batch norm make the scale of the weights irrelevant?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "histogram_net with batch normalization. Theory: whatever the scale of the weights, each relu layer comes out "
        "with mean 0.399, deviation 0.584 and half of its units at zero. The diagnostics of epoch 0 show it; zeros and "
        "constants stay what they are, since equal units are equal after any normalization."
    ),
    references=(SYMMETRY_DOCUMENT, IOFFE_2015),
    claims=(
        DocumentClaim(
            key="S7",
            statement="With batch norm, plain random weights learn as well as designed ones.",
            hypotheses=(
                "train_loss(relu, scaled_normal(scale=0.01)) within 0.1 of train_loss(relu, kaiming_normal)",
                "train_loss(tanh, scaled_normal(scale=0.01)) within 0.1 of train_loss(tanh, xavier_fan_in)",
            ),
            note="The document has gamma and beta computed from the batch; mean and variance are.",
        ),
    ),
    spec=_spec(batch_norm={"position": "before"}),
)
