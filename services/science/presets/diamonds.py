"""Three activations by four initializers on the prices of diamonds, validated on random rows and on the last ones."""

from typing import Any

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import DIAMONDS_DOCUMENT, GLOROT_2010, HE_2015, LECUN_1998

CLAIMS = (
    DocumentClaim(
        key="K1",
        statement="Sigmoid gives the worst intermediate results.",
        hypotheses=("val_loss(sigmoid) > val_loss(tanh)", "val_loss(sigmoid) > val_loss(relu)"),
    ),
    DocumentClaim(
        key="K2",
        statement="The best results come from tanh, whatever the initializer.",
        hypotheses=("val_loss(tanh) < val_loss(relu)", "val_loss(worst(tanh)) within 0.01 of val_loss(best(tanh))"),
        note="A hundredth of the prices' standard deviation is taken as no difference.",
    ),
    DocumentClaim(
        key="K3",
        statement="With relu, plain uniform weights do better than the other initializers.",
        hypotheses=(
            "val_loss(relu, random_uniform) < val_loss(relu, glorot_uniform)",
            "val_loss(relu, random_uniform) < val_loss(relu, he_uniform)",
            "val_loss(relu, random_uniform) < val_loss(relu, lecun_uniform)",
        ),
        note="Holds on the last rows of the file, not on random ones.",
    ),
    DocumentClaim(
        key="K4",
        statement="Even the best result with relu is worse than those of the others.",
        hypotheses=("val_loss(best(relu)) > val_loss(best(tanh))",),
        note="The source can be read in two ways; held here against tanh only, since sigmoid is called worst.",
    ),
    DocumentClaim(
        key="K5",
        statement="The initializers meant for an activation are mostly not the best for it.",
        hypotheses=(
            "val_loss(relu, he_uniform) > val_loss(relu, glorot_uniform)",
            "val_loss(sigmoid, glorot_uniform) > val_loss(sigmoid, he_uniform)",
        ),
    ),
    DocumentClaim(
        key="K6",
        statement="Another random seed alone can change the order.",
        note="No claim: read it from arms that share a rank, and from the intervals of the comparison.",
    ),
)


def _spec(split: str) -> dict[str, Any]:
    return {
        "dataset": {"name": "diamonds", "split": split},
        "model": {"kind": "mlp", "hidden": [50, 50]},
        "activation": ["sigmoid", "tanh", "relu"],
        "initializer": ["glorot_uniform", "he_uniform", "lecun_uniform", "random_uniform"],
        "optimizer": {"kind": "adam", "learning_rate": 1e-4},
        "batch_size": 256,
        "loss": "mae",
        "epochs": 10,
        "seeds": 12,
    }


COMMON = (
    "Two hidden layers of 50 units predict a diamond's price from its six measures; absolute error, a low learning "
    "rate, ten epochs, and twelve seeds where the source ran one. The source names no optimizer, batch size or "
    "scaling: Adam at 1e-4, batches of 256 and standardized inputs and prices are a choice that brings its surprise "
    "out. "
)
REFERENCES = (DIAMONDS_DOCUMENT, GLOROT_2010, HE_2015, LECUN_1998, "Wickham 2016, ggplot2: the diamonds data")

DIAMONDS_RANDOM = Preset(
    name="diamonds_random",
    title="Three activations by four initializers on diamonds, validated on random rows",
    question="Does plain uniform weight initialization beat the designed ones under relu?",
    source=DIAMONDS_DOCUMENT,
    description=COMMON + "Validated on a random fifth of the rows.",
    references=REFERENCES,
    claims=CLAIMS,
    spec=_spec("random"),
)
DIAMONDS_TAIL = Preset(
    name="diamonds_tail",
    title="Three activations by four initializers on diamonds, validated on the last rows",
    question="Is the surprise of plain uniform weights one of how the rows were split?",
    source=DIAMONDS_DOCUMENT,
    description=(
        COMMON + "Validated on the last fifth of the file, as Keras's validation_split does: the file is ordered by "
        "price in long runs, and its last rows are cheap stones, mean price 1,882 against 4,445 of the rest."
    ),
    references=REFERENCES,
    claims=CLAIMS,
    spec=_spec("tail"),
)
