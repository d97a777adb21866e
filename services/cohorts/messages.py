"""What a child process reports about its cohort: lists are by slot, null stands for a number that is not finite."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Number = float | None


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Divergence(_Message):
    """A trial whose loss or parameters became non-finite in this epoch; `layer` is the first such layer, or "loss"."""

    slot: int = Field(ge=0)
    layer: str


class EpochReport(_Message):
    """One epoch of every trial of the cohort."""

    epoch: int = Field(ge=0)
    seconds: float = Field(ge=0)
    metrics: dict[str, list[Number]]
    extra: dict[str, list[Number]] | None = None
    diverged: list[Divergence] = []


class DiagnosticReport(_Message):
    """One layer of one trial after one epoch."""

    slot: int = Field(ge=0)
    epoch: int = Field(ge=0)
    layer: str
    layer_index: int
    values: dict[str, Any]


class CheckpointReport(_Message):
    """A file from which the cohort can resume after `epoch`."""

    epoch: int = Field(ge=0)
    path: str
    sha256: str
    bytes: int = Field(ge=0)


class Energy(_Message):
    """Energy of the whole cohort since the message before, and how it was found."""

    joules: float = Field(ge=0)
    method: str = Field(max_length=64)


class EpochsMessage(_Message):
    """The epochs from `first` to `to`, both included, without a gap."""

    first: int = Field(alias="from", ge=0)
    to: int = Field(ge=0)
    epochs: list[EpochReport]
    diagnostics: list[DiagnosticReport] = []
    checkpoint: CheckpointReport | None = None
    energy: Energy | None = None
