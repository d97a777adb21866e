"""Landmarks of the literature in a size for one small machine."""

from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import GLOROT_2010, HE_2015, KLAMBAUER_2017

HE_VS_XAVIER_DEPTH = Preset(
    name="he_vs_xavier_depth",
    title="He and Xavier under thirty layers of relu",
    question="Does a factor of two in the variance decide whether thirty layers learn at all?",
    source=HE_2015,
    description=(
        "Thirty hidden layers of 64 relu units on digits, no normalization. Theory: a squared gradient falls by 2^-29 "
        "under Xavier's variance and keeps its size under He's. The paper shows it on a convolutional net of 30 layers."
    ),
    references=(HE_2015, GLOROT_2010),
    claims=(
        DocumentClaim(
            key="L1",
            statement="With Xavier's variance the deep net stalls completely.",
            hypotheses=("val_loss(glorot_normal) within 0.05 of 2.302585",),
            note="ln 10, the loss of knowing nothing of ten classes.",
        ),
        DocumentClaim(
            key="L2",
            statement="With He's it converges.",
            hypotheses=("val_loss(he_normal) < val_loss(glorot_normal)", "val_accuracy(he_normal) > 0.5"),
        ),
    ),
    spec={
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [64] * 30},
        "activation": "relu",
        "initializer": ["he_normal", "glorot_normal"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "epochs": 20,
        "seeds": 10,
    },
)

SELU_SELF_NORMALIZING = Preset(
    name="selu_self_normalizing",
    title="Self-normalizing selu beside relu, tanh and sigmoid in sixteen layers",
    question="Does selu keep a deep plain net learning without any normalization layer?",
    source=KLAMBAUER_2017,
    description=(
        "Sixteen hidden layers of 64 units on digits, each activation with the initializer made for it, standardized "
        "inputs, no dropout."
    ),
    references=(KLAMBAUER_2017, HE_2015, GLOROT_2010),
    claims=(
        DocumentClaim(
            key="N1",
            statement="Deep plain nets of sigmoid units do not learn; self-normalizing ones do.",
            hypotheses=(
                "val_loss(selu) < val_loss(sigmoid)",
                "val_accuracy(selu) > 0.8",
            ),
        ),
        DocumentClaim(
            key="N2",
            statement="Self-normalizing nets do better than relu nets initialized as He proposed.",
            hypotheses=("val_loss(selu) < val_loss(relu)",),
        ),
    ),
    spec={
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [64] * 16},
        "arms": [
            {"activation": "selu", "initializer": "lecun_normal"},
            {"activation": "relu", "initializer": "he_normal"},
            {"activation": "tanh", "initializer": "glorot_normal"},
            {"activation": "sigmoid", "initializer": "glorot_normal"},
        ],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "epochs": 20,
        "seeds": 10,
    },
)
