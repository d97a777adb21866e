"""Every activation of the catalogue with an initializer that is recommended for it, and with one that is not."""

from services.science.activations import ACTIVATIONS
from services.science.presets.base import DocumentClaim, Preset
from services.science.presets.sources import CATALOGUE_DOCUMENT, GLOROT_2010, HE_2015, KLAMBAUER_2017

EXPLODING = frozenset(
    {
        "bent_identity",
        "bilinear",
        "e_swish",
        "exponential",
        "geglu",
        "glu",
        "identity",
        "reglu",
        "selu",
        "siren",
        "snake",
        "squared_relu",
        "star_relu",
        "swiglu",
    }
)
"""Activations that lose a gradient farther with N(0, 1) weights than with uniform ones within 0.05.

By signal propagation through six layers of fifty units: the one explodes, the other vanishes.
"""


def worst_initializer(kind: str) -> str:
    """Of the two draws that ignore the width of a layer, the one that theory expects to do more harm."""
    return "normal" if kind in EXPLODING else "random_uniform"


CATALOGUE_TOUR = Preset(
    name="catalogue_tour",
    title="Every activation with a recommended and with a bad initializer, on handwritten digits",
    question="How much does the right initializer do for each activation, and which advice survives?",
    source=CATALOGUE_DOCUMENT,
    description=(
        "Three hidden layers of 50 units. Beside the catalogue's first recommendation stands the worse of two draws "
        "that do not look at the layer's width: uniform within 0.05, or normal with deviation 1."
    ),
    references=(CATALOGUE_DOCUMENT, GLOROT_2010, HE_2015, KLAMBAUER_2017),
    claims=(
        DocumentClaim(
            key="H1",
            statement="In hidden layers relu comes first; where it does badly, leaky relu is worth a try.",
            hypotheses=(
                "val_loss(relu, he_uniform) < val_loss(sigmoid, glorot_uniform)",
                "val_loss(relu, he_uniform) <= val_loss(leaky_relu, kaiming_uniform)",
            ),
        ),
        DocumentClaim(
            key="H2",
            statement="No sigmoid in hidden layers; tanh can be tried.",
            hypotheses=("val_loss(tanh, glorot_uniform) < val_loss(sigmoid, glorot_uniform)",),
        ),
        DocumentClaim(
            key="H3",
            statement="Plain random initialization is rarely used: He and Xavier are.",
            hypotheses=(
                "val_loss(relu, he_uniform) < val_loss(relu, random_uniform)",
                "val_loss(tanh, glorot_uniform) < val_loss(tanh, random_uniform)",
            ),
        ),
    ),
    spec={
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [50, 50, 50]},
        "arms": [
            {"activation": kind, "initializer": initializer}
            for kind, cls in ACTIVATIONS.items()
            for initializer in (cls.recommended_initializers[0].initializer, worst_initializer(kind))
        ],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "epochs": 10,
        "seeds": 8,
    },
)
