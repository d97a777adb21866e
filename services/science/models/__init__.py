"""The model family: what a trial's network looks like, layer by layer.

`Model` is the discriminated union used in a spec; `MODELS` maps each kind to its class.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.base import named
from services.science.models.mlp import Mlp

Model = Annotated[Mlp, Field(), BeforeValidator(named)]
"""A model's object, or its bare name."""

MODELS: Mapping[str, type[Mlp]] = {"mlp": Mlp}

__all__ = ["MODELS", "Mlp", "Model"]
