"""The model family: what a trial's network looks like, layer by layer.

`Model` is the discriminated union used in a spec; `MODELS` maps each kind to its class.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.base import named
from services.science.models.cnn import Cnn
from services.science.models.mlp import DeepMlp, Mlp, Perceptron

AnyModel = Mlp | DeepMlp | Cnn
"""A member of the family."""

Model = Annotated[AnyModel, Field(discriminator="kind"), BeforeValidator(named)]
"""A model's object, or its bare name."""

MODELS: Mapping[str, type[AnyModel]] = {"mlp": Mlp, "deep_mlp": DeepMlp, "cnn": Cnn}

__all__ = ["MODELS", "AnyModel", "Cnn", "DeepMlp", "Mlp", "Model", "Perceptron"]
