"""The weights of exercises written with NumPy's legacy generator, number for number."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, FloatArray, LayerContext, Shape
from services.science.initializers.distributions import NormalDraw
from services.science.streams import legacy

NAMED_SCALES = {"xavier_fan_in": 1.0, "he": 2.0}
"""fan_in times the variance."""

Scale = Annotated[float, Field(ge=0.0, le=LARGEST)] | Literal["xavier_fan_in", "he"]


class LegacyRandn(NormalDraw):
    """The weights of an exercise: `numpy.random.seed(numpy_seed)`, then `randn` for one layer after the other.

    A dense layer is drawn as ``randn(fan_out, fan_in)``, as courses write it, and transposed; a kernel as
    ``randn(out, in, *window)``. All layers of a network come from one generator, the first layer first. The weights
    are the same whatever the trial's seed, which then only varies the order of the rows.
    """

    kind: Literal["legacy_randn"] = "legacy_randn"
    numpy_seed: int = Field(default=0, ge=0, lt=2**32, description="As given to numpy.random.seed.")
    scale: Scale = Field(
        default=1.0, description="A factor, or xavier_fan_in for sqrt(1 / fan_in), or he for sqrt(2 / fan_in)."
    )

    formula = "scale RandomState(numpy_seed).randn(fan_out, fan_in)^T, layer after layer"
    gain_note = "sigma_w^2 = fan_in scale^2; 1 with xavier_fan_in, 2 with he"
    references = (
        "NumPy, numpy.random.RandomState.randn: a stream frozen since NumPy 1.16",
        "Improving Deep Neural Networks, week 1, deeplearning.ai: the exercise on initialization",
    )
    sequential = True

    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight."""
        if isinstance(self.scale, str):
            return math.sqrt(NAMED_SCALES[self.scale] / context.fan_in)
        return self.scale

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        if len(context.before) != context.layer:
            raise ValueError(
                f"{self.kind} draws layer after layer: layer {context.layer} needs the shapes of the {context.layer} "
                f"layers before it, not of {len(context.before)}"
            )
        generator = legacy(self.numpy_seed)
        for earlier in context.before:
            generator.randn(math.prod(earlier))
        drawn = generator.randn(*(shape[::-1] if len(shape) == 2 else shape)) * self.std(context)
        return drawn.T if len(shape) == 2 else drawn
