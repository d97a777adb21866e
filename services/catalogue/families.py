"""The families as plain values: what each member is, its formula, parameters, limits and sources."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from services.errors import FieldProblem, InvalidInputError, NotFoundError
from services.field_problems import field_problems
from services.science.activations import ACTIVATIONS, BaseActivation
from services.science.activations.moments import gain_note, moments
from services.science.base import Member
from services.science.initializers import INITIALIZERS, BaseInitializer
from services.science.models import MODELS
from services.science.nearest import nearest
from services.science.optimizers import OPTIMIZERS, BaseOptimizer

Json = dict[str, Any]
Found = TypeVar("Found")
CURVE_POINTS = 121
CURVE_REACH = 6.0


def activations() -> list[Json]:
    """Every activation."""
    return [_activation(cls) for cls in ACTIVATIONS.values()]


def activation(kind: str, parameters: Mapping[str, Any]) -> Json:
    """One activation with its curve, derivative and Gaussian moments at the given parameters."""
    cls = find(ACTIVATIONS, kind, "activation")
    member = _build(cls, parameters)
    x = np.linspace(-CURVE_REACH, CURVE_REACH, CURVE_POINTS)
    entry = {**_activation(cls), "at": member.parameters(), "kinks": list(member.kinks), "range": list(member.bounds())}
    if cls.width_factor == 1:
        entry["curve"] = {
            "x": x.tolist(),
            "value": _finite(member.value(x)),
            "derivative": _finite(member.derivative(x)),
        }
    entry["moments"] = moments(member).model_dump()
    entry["gain_note"] = gain_note(member)
    return entry


def initializers() -> list[Json]:
    """Every initializer."""
    return [_initializer(cls) for cls in INITIALIZERS.values()]


def initializer(kind: str) -> Json:
    """One initializer."""
    return _initializer(find(INITIALIZERS, kind, "initializer"))


def optimizers() -> list[Json]:
    """Every optimizer."""
    return [_optimizer(cls) for cls in OPTIMIZERS.values()]


def optimizer(kind: str) -> Json:
    """One optimizer."""
    return _optimizer(find(OPTIMIZERS, kind, "optimizer"))


def models() -> list[Json]:
    """Every model."""
    return [_member(cls) for cls in MODELS.values()]


def model(kind: str) -> Json:
    """One model."""
    return _member(find(MODELS, kind, "model"))


def find(family: Mapping[str, Found], name: str, what: str) -> Found:
    """A family's member by its name.

    Raises:
        NotFoundError: names the legal ones.
    """
    member = family.get(name)
    if member is None:
        close = nearest(name, list(family))
        hint = f"; did you mean {close!r}?" if close else ""
        raise NotFoundError(f"there is no {what} {name[:60]!r}{hint}; there are: {', '.join(family)}")
    return member


def _build(cls: type[BaseActivation], parameters: Mapping[str, Any]) -> BaseActivation:
    """A member with the parameters of a query string."""
    try:
        return cls.model_validate_strings({"kind": cls.model_fields["kind"].default, **parameters})
    except ValidationError as error:
        problems = [
            FieldProblem(problem.pointer.removeprefix("/") or "query", problem.message)
            for problem in field_problems(error.errors(include_url=False), dict(parameters), cls)
        ]
        raise InvalidInputError("; ".join(f"{p.pointer}: {p.message}" for p in problems), problems) from None


@functools.cache
def _member(cls: type[Member]) -> Json:
    schema = cls.model_json_schema()
    properties = {name: value for name, value in schema.get("properties", {}).items() if name != "kind"}
    return {
        "kind": cls.model_fields["kind"].default,
        "description": inspect.getdoc(cls) or "",
        "formula": cls.formula,
        "parameters": {"type": "object", "properties": properties, "$defs": schema.get("$defs", {})},
        "references": list(cls.references),
    }


@functools.cache
def _activation(cls: type[BaseActivation]) -> Json:
    recommended = [recommendation._asdict() for recommendation in cls.recommended_initializers]
    return {
        **_member(cls),
        "range": list(cls.range),
        "limits": {"minus_infinity": cls.limits[0], "plus_infinity": cls.limits[1]},
        "failure": cls.failure,
        "recommended_initializers": recommended,
        "width_factor": cls.width_factor,
        "learned": list(cls.learned),
    }


@functools.cache
def _initializer(cls: type[BaseInitializer]) -> Json:
    return {
        **_member(cls),
        "fan_convention": cls.fan_convention,
        "gain_note": cls.gain_note,
        "data_dependent": cls.data_dependent,
        "needs_activation": cls.needs_activation,
        "sequential": cls.sequential,
    }


@functools.cache
def _optimizer(cls: type[BaseOptimizer]) -> Json:
    return {**_member(cls), "state": list(cls.state)}


def _finite(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
