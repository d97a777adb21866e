"""The experiment spec: what a client posts, what is stored, and what the grid is expanded from.

A spec is stored in its canonical form: every name an object, every axis a list, every default filled in. The canonical
form is itself a valid spec, so what is read back can be posted again.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from services.science.activations import Activation
from services.science.base import Strict, counted, named, whole_number
from services.science.datasets import DatasetChoice
from services.science.diagnostics import Diagnostics
from services.science.initializers import Initializer
from services.science.losses import OF_TASK, Loss, legal_losses, network_outputs
from services.science.models import Model
from services.science.optimizers import Optimizer
from services.science.seed_rounds import SeedRounds

SPEC_VERSION = 1
MAX_AXIS = 1_000
MAX_TAGS = 32
MAX_HYPOTHESES = 100

BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Tag = Annotated[str, Field(min_length=1, max_length=64)]
Hypothesis = Annotated[str, Field(min_length=3, max_length=500)]


def _listed(value: Any) -> Any:
    """A single value stands for an axis of one."""
    return value if isinstance(value, list | tuple) else [value]


def _optimizer_axis(value: Any) -> Any:
    """Expand an optimizer whose numbers may be lists into the product of plain optimizers, first field slowest."""
    entries = list(map(named, _listed(value)))
    size = sum(
        math.prod(len(item) for item in entry.values() if isinstance(item, list | tuple))
        for entry in entries
        if isinstance(entry, Mapping)
    )
    if size > MAX_AXIS:
        message = f"the optimizers' lists make {size} combinations; at most {MAX_AXIS} are allowed"
        raise ValueError(message)
    expanded: list[Any] = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            expanded.append(entry)
            continue
        axes = {key: list(item) for key, item in entry.items() if isinstance(item, list | tuple)}
        expanded.extend({**entry, **dict(zip(axes, combo, strict=True))} for combo in itertools.product(*axes.values()))
    return expanded


def _seed_list(value: Any) -> Any:
    """A count n means the seeds 0 to n-1."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_AXIS:
            message = f"a count of seeds is between 1 and {MAX_AXIS}, not {value}"
            raise ValueError(message)
        return list(range(value))
    return value


Activations = Annotated[
    tuple[Activation, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_AXIS), counted(MAX_AXIS)
]
Initializers = Annotated[
    tuple[Initializer, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_AXIS), counted(MAX_AXIS)
]
Optimizers = Annotated[
    tuple[Optimizer, ...], BeforeValidator(_optimizer_axis), Field(min_length=1, max_length=MAX_AXIS), counted(MAX_AXIS)
]
BatchSizes = Annotated[
    tuple[BatchSize, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_AXIS), counted(MAX_AXIS)
]
Seeds = Annotated[
    tuple[Seed, ...],
    BeforeValidator(_seed_list),
    Field(min_length=1, max_length=MAX_AXIS),
    counted(MAX_AXIS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_AXIS},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": MAX_AXIS},
                {"type": "object", "description": "Rounds, as in `rounds`."},
            ],
            "description": "A list of seeds, or a count n meaning 0 to n-1, or rounds: seeds are added until sure.",
        },
        mode="validation",
    ),
]


class ArmChoice(Strict):
    """One explicit combination for `arms`; what is left out takes the spec's own (single) value."""

    activation: Activation | None = None
    initializer: Initializer | None = None
    optimizer: Optimizer | None = None
    batch_size: BatchSize | None = None


class ExperimentSpec(Strict):
    """An experiment: a data set, the axes to cross, and the seeds every arm runs.

    Five fields are enough: dataset, activation, initializer, epochs, seeds.
    """

    spec_version: Annotated[Literal[1], BeforeValidator(whole_number)] = 1
    name: str | None = Field(None, max_length=200)
    tags: Annotated[tuple[Tag, ...], counted(MAX_TAGS)] = Field((), max_length=MAX_TAGS)
    dataset: DatasetChoice
    model: Model | None = Field(None, description="Default: by data set.")
    activation: Activations | None = Field(None, description="One activation, or a list of them: an axis.")
    initializer: Initializers | None = Field(None, description="One initializer, or a list of them: an axis.")
    arms: Annotated[tuple[ArmChoice, ...] | None, counted(MAX_AXIS)] = Field(None, min_length=1, max_length=MAX_AXIS)
    optimizer: Optimizers = Field(_optimizer_axis("sgd"), validate_default=True)
    batch_size: BatchSizes = (32,)
    loss: Loss | None = Field(
        None,
        description="Default: mae for regression, cross_entropy (softmax of one output per class) for classification. "
        "binary_cross_entropy is for two classes: the sigmoid of a single output.",
    )
    epochs: int = Field(ge=1, le=10_000)
    seeds: Seeds
    rounds: SeedRounds | None = Field(
        None, description="Seeds are added until sure; the same as giving this object as `seeds`."
    )
    device: Literal["cpu", "gpu"] | None = Field(
        None, description="Where to train, and nowhere else; default: wherever a worker is free."
    )
    hypotheses: Annotated[tuple[Hypothesis, ...], counted(MAX_HYPOTHESES)] = Field((), max_length=MAX_HYPOTHESES)
    diagnostics: Diagnostics | None = Field(
        Diagnostics(), description="Which numbers of each layer are kept, and when; null for none."
    )

    @model_validator(mode="before")
    @classmethod
    def _seeds_in_rounds(cls, value: Any) -> Any:
        """Rounds given as `seeds` start with the seeds of the first round."""
        if isinstance(value, Mapping) and isinstance(value.get("seeds"), Mapping):
            if value.get("rounds") is not None:
                raise ValueError("give the rounds as `seeds` or as `rounds`, not both")
            first = value["seeds"].get("min", SeedRounds.model_fields["min"].default)
            return {**value, "seeds": first, "rounds": value["seeds"]}
        return value

    @model_validator(mode="after")
    def _first_round(self) -> Self:
        if self.rounds is not None and self.seeds != tuple(range(self.rounds.min)):
            raise ValueError(f"with `rounds`, `seeds` are those of the first round: 0 to {self.rounds.min - 1}")
        return self

    @field_validator("seeds", "activation", "initializer", "batch_size", "optimizer", "arms")
    @classmethod
    def _no_doubles(cls, value: Any) -> Any:
        if value is not None and len({_key(item) for item in value}) < len(value):
            message = "the same entry stands twice; every entry of an axis must differ"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _arms_or_axes(self) -> Self:
        if self.arms is None:
            for axis in ("activation", "initializer"):
                if getattr(self, axis) is None:
                    message = f"`{axis}` is missing: give one name, a list of names, or explicit `arms`"
                    raise ValueError(message)
            return self
        for axis in ("activation", "initializer", "optimizer", "batch_size"):
            own = getattr(self, axis)
            if any(getattr(arm, axis) is None for arm in self.arms) and (own is None or len(own) > 1):
                message = f"with explicit `arms`, an arm without `{axis}` needs exactly one `{axis}` beside `arms`"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _loss_fits_task(self) -> Self:
        task, outputs = self.dataset.task, self.dataset.outputs
        legal = legal_losses(task, outputs)
        if self.loss is not None and self.loss not in legal:
            what = f"the {outputs} classes" if self.loss in OF_TASK[task] else f"the {task} task"
            message = f"loss {self.loss!r} does not fit {what} of {self.dataset.name!r}; use {' or '.join(legal)}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _model_fits_rows(self) -> Self:
        model = self.model or self.dataset.default_model()
        model.stages(self.dataset.input_shape, self.outputs)
        return self

    @property
    def outputs(self) -> int:
        """Outputs of the network: 1 for regression, else the number of classes, or one for both of two."""
        return network_outputs(self.loss or OF_TASK[self.dataset.task][0], self.dataset.outputs)

    def resolved(self) -> "ExperimentSpec":
        """Return the spec with the defaults that depend on the data set filled in."""
        loss = self.loss or OF_TASK[self.dataset.task][0]
        return self.model_copy(update={"model": self.model or self.dataset.default_model(), "loss": loss})

    def canonical(self) -> dict[str, Any]:
        """The resolved spec as plain JSON values; posting it again gives the same experiment."""
        content = self.resolved().model_dump(mode="json", exclude_none=True)
        # Null means none here, and leaving the field out means the default.
        return content if self.diagnostics is not None else {**content, "diagnostics": None}

    def digest(self) -> str:
        """SHA-256 of what determines the numbers: the canonical spec without name, tags, hypotheses and diagnostics."""
        silent = ("name", "tags", "hypotheses", "diagnostics")
        content = {k: v for k, v in self.canonical().items() if k not in silent}
        return _sha256(content)


def _key(item: Any) -> str:
    return item.model_dump_json() if isinstance(item, Strict) else repr(item)


def _sha256(content: Any) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Arm(Strict):
    """One combination of every axis except the seed."""

    activation: Activation
    initializer: Initializer
    optimizer: Optimizer
    batch_size: BatchSize

    def key(self) -> str:
        """A short stable digest of the arm's content."""
        return _sha256(self.model_dump(mode="json"))[:16]

    def shown(self, axes: Iterable[str]) -> str:
        """The arm's label from the axes that vary, e.g. ``relu · he_uniform``."""
        parts: list[str] = []
        for axis in axes:
            value = getattr(self, axis)
            parts.append(value.label() if hasattr(value, "label") else f"batch {value}")
        return " · ".join(parts)
