"""The study that the service was first asked for: twelve arms on the prices of diamonds."""

from services.science.presets.base import Preset

DIAMONDS_ARTICLE = Preset(
    name="diamonds_article",
    title="Three activations by four initializers on the prices of diamonds",
    description=(
        "A small network with two hidden layers of 50 units predicts the price of a diamond from its six measures. "
        "Every combination of sigmoid, tanh and relu with uniform weights by Glorot, He and LeCun and with plain "
        "uniform weights runs with the same five seeds for ten epochs."
    ),
    references=(
        "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
        "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers",
        "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp",
        "Wickham 2016, ggplot2: the diamonds data",
    ),
    spec={
        "name": "diamonds_article",
        "tags": ["preset"],
        "dataset": "diamonds",
        "model": {"kind": "mlp", "hidden": [50, 50]},
        "activation": ["sigmoid", "tanh", "relu"],
        "initializer": ["glorot_uniform", "he_uniform", "lecun_uniform", "random_uniform"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.01},
        "batch_size": 32,
        "loss": "mae",
        "epochs": 10,
        "seeds": 5,
        "hypotheses": ["val_loss(relu, he_uniform) < val_loss(relu, random_uniform)"],
    },
)
