"""Symmetry and scale: what constant, tiny, huge and well-scaled weights do to learning and to layers."""

from typing import Any

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import GLOROT_2010, HE_2015, IOFFE_2015, SYMMETRY_DOCUMENT

SYMMETRY_AND_SCALE = Preset(
    name="symmetry_and_scale",
    title="Zeros, constant, tiny, plain, huge, Xavier and He weights on two circles",
    question="Why must weights be random, and how large should they be?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "The classroom's net, 10 and 5 relu units, by full-batch gradient descent on 300 points of two circles. The "
        "exercise runs 15,000 steps with one sigmoid output; here 10,000 steps with two logits, which at the same "
        "learning rate move their difference twice as fast. Ten seeds instead of one."
    ),
    references=(SYMMETRY_DOCUMENT, GLOROT_2010, HE_2015, "Improving Deep Neural Networks, week 1, deeplearning.ai"),
    claims=(
        DocumentClaim(
            key="S1",
            statement="With all weights zero the loss does not change.",
            hypotheses=("val_loss(zeros) within 0.001 of 0.693147",),
            note="ln 2, the loss of saying one half.",
        ),
        DocumentClaim(
            key="S2",
            statement="With equal weights every layer is like one unit, and the net hardly better than a linear one.",
            hypotheses=("val_accuracy(constant) < 0.75", "val_loss(constant) > val_loss(kaiming_normal)"),
        ),
        DocumentClaim(
            key="S3",
            statement="With weights of 0.01 times a normal the loss falls but stays high.",
            hypotheses=("val_loss(scaled_normal) > 0.5",),
        ),
        DocumentClaim(
            key="S4",
            statement="With 10 times a normal the net learns badly too.",
            hypotheses=("val_loss(scaled_normal(scale=10)) > val_loss(kaiming_normal)",),
        ),
        DocumentClaim(
            key="S5",
            statement="He's scale works well for relu, better than Xavier's.",
            hypotheses=("val_loss(kaiming_normal) < val_loss(xavier_fan_in)", "val_accuracy(kaiming_normal) > 0.9"),
        ),
    ),
    spec={
        "dataset": "coursera_circles",
        "model": {"kind": "mlp", "hidden": [10, 5]},
        "activation": "relu",
        "initializer": [
            "zeros",
            {"kind": "constant", "value": 0.5},
            {"kind": "scaled_normal", "scale": 0.01},
            {"kind": "scaled_normal", "scale": 1.0},
            {"kind": "scaled_normal", "scale": 10.0},
            "xavier_fan_in",
            "kaiming_normal",
        ],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "batch_size": 300,
        "epochs": 10_000,
        "seeds": 10,
    },
)


def _histogram_spec(**model: Any) -> dict[str, Any]:
    return {
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [500] * 10, **model},
        "arms": [
            {"activation": "tanh", "initializer": {"kind": "scaled_normal", "scale": 0.01}},
            {"activation": "tanh", "initializer": "xavier_fan_in"},
            {"activation": "relu", "initializer": "xavier_fan_in"},
            {"activation": "relu", "initializer": "kaiming_normal"},
        ],
        "batch_size": 128,
        "epochs": 1,
        "seeds": 8,
        "diagnostics": {
            "schedule": [0, 1],
            "quantities": ["moments", "histogram", "saturation", "dead_units", "gradients"],
        },
    }


HISTOGRAM_NET = Preset(
    name="histogram_net",
    title="What ten layers of 500 units do to a signal before anything is learned",
    question="At which scale of the weights does a signal reach the tenth layer?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "Ten hidden layers of 500 units on digits, the pairs that the source draws. See the diagnostics of epoch 0: "
        "means, deviations and histograms of every layer. One epoch is trained, because an experiment trains."
    ),
    references=(SYMMETRY_DOCUMENT, GLOROT_2010, HE_2015, "CS231n, Neural networks 2, Stanford"),
    claims=(
        DocumentClaim(
            key="S6",
            statement="Xavier keeps tanh's layers alive but not relu's; He keeps relu's.",
            hypotheses=(
                "train_loss(relu, kaiming_normal) < train_loss(relu, xavier_fan_in)",
                "train_loss(tanh, xavier_fan_in) < train_loss(tanh, scaled_normal)",
            ),
            note="The layers themselves are in the diagnostics; the claims look at the first epoch of learning.",
        ),
    ),
    spec=_histogram_spec(),
)

HISTOGRAM_NET_BATCH_NORM = Preset(
    name="histogram_net_batch_norm",
    title="The same ten layers with batch norm before the activation",
    question="Does batch norm make the scale of the weights irrelevant?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "histogram_net with batch normalization. Theory: whatever the scale of the weights, each relu layer comes out "
        "with mean 0.399, deviation 0.584 and half of its units at zero. The diagnostics of epoch 0 show it."
    ),
    references=(SYMMETRY_DOCUMENT, IOFFE_2015),
    claims=(
        DocumentClaim(
            key="S7",
            statement="With batch norm, plain random weights learn as well as designed ones.",
            hypotheses=(
                "train_loss(relu, xavier_fan_in) within 0.1 of train_loss(relu, kaiming_normal)",
                "train_loss(tanh, scaled_normal) within 0.1 of train_loss(tanh, xavier_fan_in)",
            ),
            note="The document has gamma and beta computed from the batch; mean and variance are.",
        ),
    ),
    spec=_histogram_spec(batch_norm={"position": "before"}),
)
