"""Predict what an activation and an initializer do to signals and gradients, before anything is trained."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.errors import FieldProblem, InvalidInputError
from services.science.activations import Activation
from services.science.base import Strict, counted
from services.science.datasets import DATASETS
from services.science.initializers import Initializer
from services.science.layer_scales import layer_scales, scale_notes
from services.science.models import Mlp
from services.science.theory.propagation import Prediction, predict

MOST_LAYERS = 400
"""Weight layers of all networks of one request: some milliseconds each."""
MOST_NAMES = 32


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Activations = Annotated[
    tuple[Activation, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MOST_NAMES), counted(MOST_NAMES)
]
Initializers = Annotated[
    tuple[Initializer, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MOST_NAMES), counted(MOST_NAMES)
]


class PredictionRequest(Strict):
    """Networks to predict: every activation with every initializer, in one shape of plain dense network.

    The shape is `hidden`, or `depth` layers of `width` units. `dataset` gives the inputs and outputs of a data set.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"activation": ["relu", "tanh"], "initializer": "glorot_uniform", "depth": 30, "width": 100}]
        }
    )

    activation: Activations = Field(description="One activation, or a list of them.")
    initializer: Initializers = Field(description="One initializer, or a list of them.")
    hidden: tuple[Annotated[int, Field(ge=1, le=8192)], ...] | None = Field(
        None, max_length=256, description="Units of each hidden layer. Default: 50, 50."
    )
    depth: int | None = Field(None, ge=1, le=256, description="Hidden layers, all of `width` units.")
    width: int | None = Field(None, ge=1, le=8192, description="Default: 100.")
    dataset: str | None = Field(None, max_length=64, description="A data set of the catalogue.")
    inputs: int | None = Field(None, ge=1, le=1_000_000, description="Default: of the data set, else the first width.")
    outputs: int | None = Field(None, ge=1, le=1_000_000, description="Default: of the data set, else 10.")
    input_second_moment: float = Field(1.0, ge=0, le=1e12, description="Mean square of the inputs; standardized: 1.")
    input_correlation: float = Field(0.0, ge=-1, le=1, description="Of the two inputs that are followed.")

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if self.hidden is not None and (self.depth is not None or self.width is not None):
            raise ValueError("give `hidden`, or `depth` and `width`, not both")
        if self.width is not None and self.depth is None:
            raise ValueError("`width` needs `depth`: how many layers of that width")
        return self

    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        if self.depth is not None:
            return (self.width or 100,) * self.depth
        return self.hidden if self.hidden is not None else (50, 50)


class ArmPrediction(BaseModel):
    """One activation with one initializer."""

    activation: dict[str, Any]
    initializer: dict[str, Any]
    label: str
    notes: list[str] = Field(description="Where this initializer does not keep the theory's assumptions.")
    prediction: Prediction


class Predictions(BaseModel):
    """The networks in the order of the request: activations slowest."""

    hidden: list[int]
    inputs: int
    outputs: int
    input_second_moment: float
    predictions: list[ArmPrediction]


def predict_networks(request: PredictionRequest) -> Predictions:
    """Predict every activation with every initializer.

    Raises:
        InvalidInputError: an unknown data set, too many layers, or an initializer that has no weight for a layer.
    """
    hidden = request.widths()
    inputs, outputs = _ends(request, hidden)
    count = len(request.activation) * len(request.initializer) * (len(hidden) + 1)
    if count > MOST_LAYERS:
        raise _invalid("", f"{count} layers in all networks together; at most {MOST_LAYERS} are predicted at once")
    shape = _Shape(hidden, inputs, outputs, request.input_second_moment, request.input_correlation)
    return Predictions(
        hidden=list(hidden),
        inputs=inputs,
        outputs=outputs,
        input_second_moment=request.input_second_moment,
        predictions=list(_predictions(request, shape)),
    )


@dataclass(frozen=True)
class _Shape:
    hidden: tuple[int, ...]
    inputs: int
    outputs: int
    input_second_moment: float
    input_correlation: float


def _ends(request: PredictionRequest, hidden: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs: as asked, of the data set, or by default."""
    inputs, outputs = hidden[0] if hidden else 10, 10
    if request.dataset is not None:
        member = DATASETS.get(request.dataset)
        if member is None:
            raise _invalid("/dataset", f"unknown data set {request.dataset!r}; legal: {', '.join(DATASETS)}")
        dataset = member()
        inputs, outputs = math.prod(dataset.input_shape), dataset.outputs
    return request.inputs or inputs, request.outputs or outputs


def _predictions(request: PredictionRequest, shape: _Shape) -> Iterator[ArmPrediction]:
    for place, activation in enumerate(request.activation):
        for other, initializer in enumerate(request.initializer):
            try:
                # A frozen member hashes, though its type does not say so.
                prediction, notes = _predict(activation, initializer, shape)  # pyright: ignore[reportArgumentType]
            except ValueError as error:
                raise _invalid(
                    f"/initializer/{other}", f"{initializer.label()} with {activation.label()}: {error}"
                ) from None
            yield ArmPrediction(
                activation=request.activation[place].model_dump(mode="json"),
                initializer=initializer.model_dump(mode="json"),
                label=f"{activation.label()} · {initializer.label()}",
                notes=list(notes),
                prediction=prediction,
            )


@lru_cache(maxsize=512)
def _predict(activation: Activation, initializer: Initializer, shape: _Shape) -> tuple[Prediction, tuple[str, ...]]:
    layers = Mlp(hidden=shape.hidden).weight_layers(shape.inputs, shape.outputs, activation.width_factor)
    scales = layer_scales(activation, initializer, layers, shape.input_second_moment)
    prediction = predict(activation, scales, shape.input_second_moment, shape.input_correlation)
    return prediction, tuple(scale_notes(activation, initializer, layers))


def _invalid(pointer: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{pointer or 'the request'}: {message}", [FieldProblem(pointer, message)])
