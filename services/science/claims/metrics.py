"""Which numbers of an experiment a claim may speak of, and which way they are better."""

from services.science.spec import ExperimentSpec
from services.science.statistics.directions import metric_direction

CLASSIFICATION = ("val_loss", "val_accuracy", "train_loss", "train_accuracy")
REGRESSION = ("val_loss", "val_mae", "val_rmse", "val_r2", "train_loss")


def claimable_metrics(spec: ExperimentSpec) -> tuple[str, ...]:
    """The metrics that every trial of this experiment will have."""
    return CLASSIFICATION if spec.dataset.task == "classification" else REGRESSION


def lower_is_better(metric: str) -> bool:
    """Direction of a metric."""
    return metric_direction(metric) == "lower"


def training_metric(metric: str) -> str:
    """The training metric that a validation metric, however it was measured, is held against for its gap."""
    return "train_" + metric.removeprefix("val_").split("_")[0]
