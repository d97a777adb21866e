"""Epoch rows on the wire."""

from pydantic import BaseModel, ConfigDict, Field


class EpochRow(BaseModel):
    """The numbers of one trial after one epoch; epoch 0 is the untrained network. Other metrics may follow."""

    model_config = ConfigDict(extra="allow")

    trial_id: str
    epoch: int
    train_loss: float | None = None
    val_loss: float | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    val_mae: float | None = None
    val_rmse: float | None = None
    val_r2: float | None = None
    seconds: float | None = None


class Downsampling(BaseModel):
    """How the rows were thinned."""

    points: int = Field(description="Most rows of one trial.")
    method: str
    by: str = Field(description="The metric whose extremes are kept.")
    of: int = Field(description="Rows that the trials of this page have.")
    description: str


class MetricsPage(BaseModel):
    """A page of epoch rows."""

    items: list[EpochRow]
    next_cursor: str | None
    downsampled: Downsampling | None = Field(description="null when every row is there.")
