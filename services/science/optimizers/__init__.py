"""The catalogue of optimizers: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.base import named
from services.science.catalogue import by_kind
from services.science.optimizers.adaptive import Adagrad, Adam, AdamW, RmsProp
from services.science.optimizers.base import BaseOptimizer
from services.science.optimizers.schedules import SCHEDULES, BaseSchedule, Schedule
from services.science.optimizers.sgd import Sgd

AnyOptimizer = Adagrad | Adam | AdamW | RmsProp | Sgd

Optimizer = Annotated[AnyOptimizer, Field(discriminator="kind"), BeforeValidator(named)]
"""An optimizer's object, or its bare name with PyTorch's defaults (sgd's learning rate is 0.01)."""

OPTIMIZERS = by_kind(AnyOptimizer, BaseOptimizer)
"""Every optimizer by its kind."""

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "AnyOptimizer",
    "BaseOptimizer",
    "BaseSchedule",
    "Optimizer",
    "Schedule",
]
