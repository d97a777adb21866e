"""PyTorch's Xavier and Kaiming initializers, not truncated, and the default of its layers."""

import math
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Shape
from services.science.initializers.distributions import NormalDraw, UniformDraw
from services.science.initializers.fan_scaled import GLOROT_2010, GLOROT_GAIN, HE_2015

Nonlinearity = Literal["leaky_relu", "relu", "linear", "sigmoid", "tanh", "selu"]
GAINS = {"relu": math.sqrt(2.0), "linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "selu": 0.75}
"""torch.nn.init.calculate_gain of PyTorch 2.13; leaky_relu's depends on its slope."""


class _Xavier(BaseInitializer):
    """Variance gain^2 2 / (fan_in + fan_out)."""

    gain: float = Field(default=1.0, gt=0.0, le=LARGEST)

    fan_convention = "fan_in + fan_out"
    gain_note = f"times gain^2: {GLOROT_GAIN}"

    def deviation(self, context: LayerContext) -> float:
        """Standard deviation of a weight, whatever its distribution."""
        return self.gain * math.sqrt(2.0 / (context.fan_in + context.fan_out))


class XavierUniform(_Xavier, UniformDraw):
    """glorot_uniform times a gain."""

    kind: Literal["xavier_uniform"] = "xavier_uniform"

    formula = "U(-limit, limit), limit = gain sqrt(6 / (fan_in + fan_out))"
    references = (GLOROT_2010, "torch.nn.init.xavier_uniform_")

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(3.0) * self.deviation(context)


class XavierNormal(_Xavier, NormalDraw):
    """glorot_normal times a gain, and not truncated."""

    kind: Literal["xavier_normal"] = "xavier_normal"

    formula = "N(0, gain^2 2 / (fan_in + fan_out))"
    references = (GLOROT_2010, "torch.nn.init.xavier_normal_")

    def std(self, context: LayerContext) -> float:
        return self.deviation(context)


class _Kaiming(BaseInitializer):
    """Variance gain^2 / fan, the gain that of a non-linearity of PyTorch's list."""

    negative_slope: float = Field(default=0.0, ge=-1e3, le=1e3, description="PyTorch's a; used with leaky_relu only.")
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    fan_convention = "mode: fan_in keeps the signal's scale, fan_out the gradient's"
    gain_note = "sigma_w^2 = gain^2 with fan_in; 2 / (1 + negative_slope^2) for leaky_relu, 2 at slope 0"

    def deviation(self, context: LayerContext) -> float:
        """Standard deviation of a weight, whatever its distribution."""
        leaky = math.sqrt(2.0 / (1.0 + self.negative_slope**2))
        fan = context.fan_in if self.mode == "fan_in" else context.fan_out
        return GAINS.get(self.nonlinearity, leaky) / math.sqrt(fan)


class KaimingUniform(_Kaiming, UniformDraw):
    """Uniform within gain sqrt(3 / fan); with the defaults the same as he_uniform."""

    kind: Literal["kaiming_uniform"] = "kaiming_uniform"

    formula = "U(-limit, limit), limit = gain sqrt(3 / fan)"
    references = (HE_2015, "torch.nn.init.kaiming_uniform_")

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(3.0) * self.deviation(context)


class KaimingNormal(_Kaiming, NormalDraw):
    """Normal, not truncated, of deviation gain / sqrt(fan)."""

    kind: Literal["kaiming_normal"] = "kaiming_normal"

    formula = "N(0, gain^2 / fan)"
    references = (HE_2015, "torch.nn.init.kaiming_normal_")

    def std(self, context: LayerContext) -> float:
        return self.deviation(context)


class TorchDefault(UniformDraw):
    """What torch.nn.Linear and Conv2d start from: weights and biases both uniform within 1 / sqrt(fan_in).

    Written there as kaiming_uniform with a = sqrt(5), which is this and nothing about slopes.
    """

    kind: Literal["torch_default"] = "torch_default"

    formula = "U(-limit, limit), limit = 1 / sqrt(fan_in), biases too"
    fan_convention = "fan_in"
    gain_note = "sigma_w^2 = 1/3: signals of deep plain networks shrink until only the biases are left"
    references = ("torch.nn.Linear.reset_parameters", f"{GLOROT_2010.removesuffix(', eq. 16')}, eq. 1")

    def limit(self, context: LayerContext) -> float:
        return 1.0 / math.sqrt(context.fan_in)

    def draw_bias(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        limit = self.limit(context)
        return rng.uniform(-limit, limit, shape)

    def bias_variance_of(self, context: LayerContext) -> float:
        return 1.0 / (3.0 * context.fan_in)
