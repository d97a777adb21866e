"""Optimizers that divide each gradient by a running measure of its own size, in PyTorch's forms."""

from typing import Annotated, Literal

from pydantic import Field

from services.science.optimizers.base import BaseOptimizer, Decay, Epsilon, Momentum, WeightDecay


class Adam(BaseOptimizer):
    """Step t = 1, 2, ...: g += weight_decay w; m = beta_1 m + (1 - beta_1) g; v = beta_2 v + (1 - beta_2) g^2.

    Then w -= lr / (1 - beta_1^t) m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon). m and v start at zero. Weight decay is
    the L2 form, inside the gradient; Keras's epsilon is 1e-7.
    """

    kind: Literal["adam"] = "adam"
    learning_rate: float = Field(default=0.001, ge=0.0, le=1e30)
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Epsilon = 1e-8
    weight_decay: WeightDecay = 0.0

    formula = "w -= lr m_hat / (sqrt(v_hat) + epsilon)"
    references = (
        "Kingma & Ba 2015, Adam: a method for stochastic optimization, algorithm 1",
        "torch.optim.Adam",
    )
    state = ("first_moment", "second_moment")


class AdamW(BaseOptimizer):
    """Adam with decoupled weight decay: w -= lr weight_decay w first, then Adam's step on the plain gradient."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = Field(default=0.001, ge=0.0, le=1e30)
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Epsilon = 1e-8
    weight_decay: WeightDecay = 0.01

    formula = "w -= lr weight_decay w; w -= lr m_hat / (sqrt(v_hat) + epsilon)"
    references = (
        "Loshchilov & Hutter 2019, Decoupled weight decay regularization, algorithm 2",
        "torch.optim.AdamW",
    )
    state = ("first_moment", "second_moment")


class RmsProp(BaseOptimizer):
    """g += weight_decay w; v = decay v + (1 - decay) g^2; step = g / (sqrt(v) + epsilon).

    With momentum, b = momentum b + step and w -= lr b; without, w -= lr step. v and b start at zero.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: float = Field(default=0.01, ge=0.0, le=1e30)
    decay: Decay = Field(default=0.99, description="PyTorch's alpha, Keras's rho (0.9 there).")
    epsilon: Epsilon = 1e-8
    momentum: Momentum = 0.0
    weight_decay: WeightDecay = 0.0

    formula = "v = decay v + (1 - decay) g^2; w -= lr g / (sqrt(v) + epsilon)"
    references = (
        "Tieleman & Hinton 2012, Neural networks for machine learning, lecture 6.5",
        "torch.optim.RMSprop, not centred",
    )
    state = ("second_moment", "velocity")


class Adagrad(BaseOptimizer):
    """Step t = 1, 2, ...: g += weight_decay w; s = s + g^2; w -= lr_t g / (sqrt(s) + epsilon).

    lr_t = lr / (1 + (t - 1) learning_rate_decay), and s starts at `initial_accumulator`.
    """

    kind: Literal["adagrad"] = "adagrad"
    learning_rate: float = Field(default=0.01, ge=0.0, le=1e30)
    learning_rate_decay: Annotated[float, Field(ge=0.0, le=1e3)] = 0.0
    initial_accumulator: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    epsilon: Epsilon = 1e-10
    weight_decay: WeightDecay = 0.0

    formula = "s = s + g^2; w -= lr g / (sqrt(s) + epsilon)"
    references = (
        "Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization",
        "torch.optim.Adagrad",
    )
    state = ("sum_of_squares",)
