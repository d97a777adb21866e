"""Symmetry and scale: what constant, tiny, huge and well-scaled weights do to learning and to layers."""

from typing import Any

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import GLOROT_2010, HE_2015, SYMMETRY_DOCUMENT

SEVEN_WEIGHTS: list[Any] = [
    "zeros",
    {"kind": "constant", "value": 0.5},
    {"kind": "scaled_normal", "scale": 0.01},
    {"kind": "scaled_normal", "scale": 1.0},
    {"kind": "scaled_normal", "scale": 10.0},
    "xavier_fan_in",
    "kaiming_normal",
]
"""The weights that the document compares."""

SYMMETRY_AND_SCALE = Preset(
    name="symmetry_and_scale",
    title="Zeros, constant, tiny, plain, huge, Xavier and He weights on two circles",
    question="Why must weights be random, and how large should they be?",
    source=SYMMETRY_DOCUMENT,
    description=(
        "The classroom's net, 10 and 5 relu units and one sigmoid output, by full-batch gradient descent on 300 points "
        "of two circles. Ten draws of each start instead of one; 10,000 steps of the exercise's 15,000. Its own draws "
        "are the study circles_exercise."
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
            hypotheses=("val_loss(scaled_normal(scale=0.01)) > 0.5",),
            note="Put to the test is that it stays high. That it falls is the document's own figure, of another net.",
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
        "initializer": SEVEN_WEIGHTS,
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "batch_size": 300,
        "loss": "binary_cross_entropy",
        "epochs": 10_000,
        "seeds": 10,
    },
)
