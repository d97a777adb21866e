"""The first study: real data that need no download, and an answer within seconds."""

from services.science.presets.base import DocumentClaim, Preset

QUICKSTART = Preset(
    name="quickstart",
    title="relu and tanh, He and Glorot, on handwritten digits",
    question="On a small network, do activation and initializer make a difference that ten seeds can show?",
    source="The first example of this service",
    description=(
        "Four arms of two hidden layers on the 1,797 digits that come with scikit-learn, ten seeds each. Small enough "
        "to finish in seconds, large enough to show what a comparison looks like: intervals, ties and a plain sentence."
    ),
    references=(
        "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
        "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers",
    ),
    claims=(
        DocumentClaim(
            key="Q1",
            statement="He's initializer, made for relu, does better there than Glorot's.",
            hypotheses=("val_loss(relu, he_uniform) < val_loss(relu, glorot_uniform)",),
        ),
    ),
    spec={
        "name": "quickstart",
        "tags": ["preset"],
        "dataset": "digits",
        "activation": ["relu", "tanh"],
        "initializer": ["he_uniform", "glorot_uniform"],
        "epochs": 10,
        "seeds": 10,
    },
)
