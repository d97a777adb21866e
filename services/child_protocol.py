"""What a worker and its child say to each other: one JSON object per line, both ways, told apart by `type`.

The child builds messages as plain dicts of these types, which costs nothing in the middle of training, and the type
checker holds them to it; the worker checks what it stores by the same types (`read_epochs`, `read_saved`,
`read_started`, `read_energy`). `docs/child-protocol.md` says when each is sent; a test compares its tables with this
module.

Lists are by slot, null stands for a number that is not finite.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

Count = Annotated[int, Field(ge=0)]
Measured = Annotated[float, Field(ge=0)]
StopMode = Literal["cancel", "pause", "drain"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
EngineChoice = Literal["auto", "native", "eager"]
FailureCode = Literal["oom", "dataset_invalid", "dataset_unavailable", "checkpoint_mismatch", "error"]


class PlannedTrial(TypedDict):
    """A trial to train: its place in the cohort, its arm in canonical form and its seed."""

    slot: Count
    arm: dict[str, Any]
    seed: int


class Resume(TypedDict):
    """The checkpoint to go on from; `slots` are the places of these trials in the file, None for all it holds."""

    epoch: Count
    path: str
    sha256: str
    slots: list[int] | None


class Start(TypedDict):
    """What to train; the first message to a child, and the only one of its kind."""

    type: Literal["start"]
    spec: dict[str, Any]
    trials: list[PlannedTrial]
    resume: Resume | None
    report_after: int
    checkpoint_dir: str
    checkpoint_seconds: float
    data_dir: str
    device: DeviceChoice
    threads: int
    engine: EngineChoice
    watts_per_core: NotRequired[float]


class Ack(TypedDict):
    """Everything up to `epoch` is stored; `checkpoint` is the path of one that came by itself, and is stored too."""

    type: Literal["ack"]
    epoch: int
    checkpoint: NotRequired[str]


class Stop(TypedDict):
    """Stop, now or where the work can be gone on with."""

    type: Literal["stop"]
    mode: StopMode


class Ready(TypedDict):
    """The first line of a child; it may wait here as a spare."""

    type: Literal["ready"]
    torch: str | None
    devices: list[str]


class Started(TypedDict):
    """The data are loaded, the weights are drawn."""

    type: Literal["started"]
    device: str
    dataset_digest: str
    engine: NotRequired[str]


class Divergence(TypedDict):
    """A trial whose loss or parameters became non-finite in this epoch; `layer` is the first such layer, or "loss"."""

    slot: Count
    layer: str


class EpochReport(TypedDict):
    """One epoch of every trial of the cohort."""

    epoch: Count
    seconds: Measured
    metrics: dict[str, list[float | None]]
    extra: NotRequired[dict[str, list[float | None]] | None]
    diverged: NotRequired[list[Divergence]]


class DiagnosticReport(TypedDict):
    """One layer of one trial after one epoch."""

    slot: Count
    epoch: Count
    layer: str
    layer_index: int
    values: dict[str, Any]


class CheckpointReport(TypedDict):
    """A file to resume from after `epoch`, or in the middle of the next one; `seconds` are those of its writing."""

    epoch: Count
    path: str
    sha256: str
    bytes: Count
    seconds: NotRequired[Measured]


class Energy(TypedDict):
    """Energy of the whole cohort since the message before, and how it was found."""

    joules: Measured
    method: Annotated[str, Field(max_length=64)]


_First = TypedDict("_First", {"from": Count})  # a keyword cannot be a field of a class


class Epochs(_First):
    """The epochs from `from` to `to`, both included, without a gap."""

    type: Literal["epochs"]
    to: Count
    epochs: list[EpochReport]
    diagnostics: NotRequired[list[DiagnosticReport]]
    checkpoint: NotRequired[CheckpointReport | None]
    energy: NotRequired[Energy | None]


class Saved(TypedDict):
    """A checkpoint that comes by itself, most often in the middle of an epoch; all epochs before it were sent."""

    type: Literal["checkpoint"]
    file: CheckpointReport
    energy: NotRequired[Energy | None]


class Beat(TypedDict):
    """The training moves."""

    type: Literal["beat"]
    epoch: int
    fraction: float


class Done(TypedDict):
    """Every epoch is reported, or every trial has diverged."""

    type: Literal["done"]
    energy: NotRequired[Energy | None]
    duration_seconds: float


class Stopped(TypedDict):
    """The child has stopped as it was told."""

    type: Literal["stopped"]
    mode: StopMode
    energy: NotRequired[Energy | None]


class Failed(TypedDict):
    """The child gives up; `slot` is the trial that is to blame, where it knows."""

    type: Literal["failed"]
    code: FailureCode
    detail: str
    slot: int | None


ToChild = Start | Ack | Stop
FromChild = Ready | Started | Epochs | Saved | Beat | Done | Stopped | Failed
Last = Done | Stopped | Failed
"""After one of these a child ends."""

_EPOCHS = TypeAdapter(Epochs)
_STARTED = TypeAdapter(Started)
_SAVED = TypeAdapter(Saved)
_ENERGY = TypeAdapter(Energy)


def read_epochs(message: Mapping[str, Any]) -> Epochs:
    """The message without fields that are not in `Epochs`.

    Raises:
        pydantic.ValidationError: a field is missing or not of its type.
    """
    return _EPOCHS.validate_python(message)


def read_started(message: Mapping[str, Any]) -> Started:
    """The same for `Started`."""
    return _STARTED.validate_python(message)


def read_saved(message: Mapping[str, Any]) -> Saved:
    """The same for `Saved`."""
    return _SAVED.validate_python(message)


def read_energy(message: Mapping[str, Any]) -> Energy | None:
    """The energy that a last message carries; None where it has none.

    Raises:
        pydantic.ValidationError: it is not of its type.
    """
    energy = message.get("energy")
    return _ENERGY.validate_python(energy) if energy else None
