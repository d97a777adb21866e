"""Draw a weight from an initializer without training anything, and hold it against its theory."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.catalogue.families import find
from services.errors import FieldProblem, InvalidInputError
from services.field_problems import field_problems
from services.science.activations import Activation, BaseActivation
from services.science.base import Strict
from services.science.initializers import ALIASES, INITIALIZERS, BaseInitializer, LayerContext
from services.science.streams import Purpose, stream

MOST_VALUES = 100_000
"""Most values of one answer; a larger weight is summed up only."""
MOST_DRAWN = 4_000_000
BINS = 41

Layout = Literal["native", "keras", "torch"]
Size = Annotated[int, Field(ge=1, le=MOST_DRAWN)]


class SampleRequest(Strict):
    """Which weight to draw."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"shape": [9, 1], "seed": 0}, {"shape": [32, 3, 3, 3], "layout": "torch"}]},
    )

    shape: list[Size] = Field(min_length=1, max_length=5)
    seed: int = Field(0, ge=0, lt=2**63, description="The values are those of this seed's trials.")
    layout: Layout = Field(
        "native",
        description="How the shape is meant. native: dense (in, out), kernel (out, in, height, width). keras: dense "
        "(in, out), kernel (height, width, in, out). torch: (out, in) and (out, in, height, width).",
    )
    layer: int = Field(
        0, ge=0, le=10_000, description="Number of the weight layer from the input: it has its own stream."
    )
    depth: int | None = Field(None, ge=1, le=10_001, description="Weight layers of the network. Default: layer + 1.")
    before: list[list[Size]] = Field(
        [],
        max_length=1_000,
        description="Shapes of the weights before this one, from the input on, in the same layout. For initializers "
        "that draw one layer after the other.",
    )
    activation: Activation | None = Field(None, description="For initializers that depend on it.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Of the initializer; the others are defaults.")


class Statistics(BaseModel):
    """Mean, standard deviation and support; null where theory has no number."""

    mean: float | None
    std: float | None
    low: float | None = Field(description="Infimum of the distribution, or smallest value drawn.")
    high: float | None


class Histogram(BaseModel):
    """Counts of the values drawn."""

    edges: list[float] = Field(description="One more than counts.")
    counts: list[int]


class Sample(BaseModel):
    """A weight, and what theory says of it."""

    initializer: dict[str, Any] = Field(description="The member with all of its parameters.")
    shape: list[int]
    layout: Layout
    fan_in: int
    fan_out: int
    seed: int
    count: int
    theory: Statistics
    sample: Statistics
    mean_error: float | None = Field(description="Sample mean minus theory, in standard errors; null without theory.")
    sigma_w_squared: float | None = Field(description="fan_in times variance: the scale that signals see.")
    histogram: Histogram
    values: list[Any] | None = Field(
        description=f"Nested as the shape is; float32 as a trial gets them. Null above {MOST_VALUES} values."
    )
    notes: list[str]


def sample(kind: str, request: SampleRequest) -> Sample:
    """Draw a weight as the trials with this seed do.

    Raises:
        NotFoundError: no such initializer.
        InvalidInputError: parameters, a shape or a place that it cannot draw for.
    """
    member = _member(ALIASES.get(kind, kind), request.parameters)
    shape = _native(tuple(request.shape), request.layout)
    count = int(np.prod(shape, dtype=np.int64))
    if count > MOST_DRAWN:
        raise _invalid("/shape", f"{count} values; at most {MOST_DRAWN} are drawn")
    depth = request.depth or request.layer + 1
    if depth <= request.layer:
        raise _invalid("/depth", f"layer {request.layer} needs a depth of at least {request.layer + 1}, not {depth}")
    before = tuple(_native(tuple(earlier), request.layout) for earlier in request.before)
    if member.sequential and len(before) != request.layer:
        raise _invalid("/before", f"{kind} needs the shapes of the {request.layer} layers before it, not {len(before)}")
    if sum(math.prod(earlier) for earlier in before) > MOST_DRAWN:
        raise _invalid("/before", f"at most {MOST_DRAWN} values are drawn in all")
    activation = request.activation if isinstance(request.activation, BaseActivation) else None
    context = LayerContext.of(
        shape,
        layer=request.layer,
        depth=depth,
        is_output=request.depth is not None and request.layer == depth - 1,
        activation=activation,
        before=before,
    )
    try:
        drawn = member.draw(shape, stream(request.seed, Purpose.WEIGHTS, request.layer), context)
        theory = member.theory(shape, context)
    except ValueError as error:
        raise _invalid("/activation" if "none is given" in str(error) else "/shape", str(error)) from None
    values = drawn.astype(np.float32)
    counts, edges = np.histogram(values, bins=BINS)
    sample = Statistics(
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        low=float(values.min()),
        high=float(values.max()),
    )
    error = theory.std / np.sqrt(count) if theory.std else None
    return Sample(
        initializer=member.model_dump(mode="json"),
        shape=list(request.shape),
        layout=request.layout,
        fan_in=context.fan_in,
        fan_out=context.fan_out,
        seed=request.seed,
        count=count,
        theory=Statistics(mean=theory.mean, std=theory.std, low=theory.low, high=theory.high),
        sample=sample,
        mean_error=None if error is None or sample.mean is None else (sample.mean - (theory.mean or 0.0)) / error,
        sigma_w_squared=None if theory.std is None else context.fan_in * theory.std**2,
        histogram=Histogram(edges=edges.tolist(), counts=counts.tolist()),
        values=_asked(values, request.layout).tolist() if count <= MOST_VALUES else None,
        notes=_notes(member, request, count),
    )


def _member(kind: str, parameters: dict[str, Any]) -> BaseInitializer:
    cls = find(INITIALIZERS, kind, "initializer")
    try:
        return TypeAdapter(cls).validate_python({**parameters, "kind": kind})
    except ValidationError as error:
        problems = [
            FieldProblem(f"/parameters{problem.pointer}", problem.message)
            for problem in field_problems(error.errors(include_url=False), parameters, cls)
        ]
        raise InvalidInputError("; ".join(f"{p.pointer}: {p.message}" for p in problems), problems) from None


def _native(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Our shape of a weight: dense (in, out), kernel (out, in, *window)."""
    if layout == "torch" and len(shape) == 2:
        return shape[::-1]
    if layout == "keras" and len(shape) > 2:
        return (shape[-1], shape[-2], *shape[:-2])
    return shape


def _asked(values: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """A weight of ours in the layout that was asked for."""
    if layout == "torch" and values.ndim == 2:
        return values.T
    if layout == "keras" and values.ndim > 2:
        return np.moveaxis(values, (0, 1), (-1, -2))
    return values


def _notes(member: BaseInitializer, request: SampleRequest, count: int) -> list[str]:
    notes: list[str] = []
    if member.data_dependent:
        notes.append("this is the start before the engine rescales it on training rows")
    if member.sequential:
        notes.append("the same whatever the seed: it has a generator of its own")
    if count > MOST_VALUES:
        notes.append(f"{count} values are too many to list; at most {MOST_VALUES} are")
    if len(request.shape) == 1:
        notes.append("a vector counts its length as both fans, as Keras does")
    return notes


def _invalid(pointer: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{pointer}: {message}", [FieldProblem(pointer, message)])
