"""Stochastic gradient descent, plain, with momentum, and with Nesterov's."""

from typing import Literal, Self

from pydantic import Field, model_validator

from services.science.optimizers.base import BaseOptimizer, Momentum, WeightDecay


class Sgd(BaseOptimizer):
    """g += weight_decay w; v = momentum v + g; w -= lr v, or with `nesterov` w -= lr (g + momentum v).

    The velocity v starts at zero. This is PyTorch's form: the learning rate stands outside the velocity, so that a
    schedule acts at once; Keras keeps it inside.
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = Field(default=0.01, ge=0.0, le=1e30)
    momentum: Momentum = 0.0
    nesterov: bool = False
    weight_decay: WeightDecay = 0.0

    formula = "v = momentum v + g; w -= lr v"
    references = (
        "Robbins & Monro 1951, A stochastic approximation method",
        "Sutskever, Martens, Dahl & Hinton 2013, On the importance of initialization and momentum in deep learning",
        "torch.optim.SGD with dampening 0",
    )
    state = ("velocity",)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0; set momentum, say to 0.9, or leave nesterov out")
        return self
