"""Which numbers of an experiment a claim may speak of, and which way they are better."""

from services.science.spec import ExperimentSpec
from services.science.statistics.directions import metric_direction

CLASSIFICATION = ("val_loss", "val_accuracy", "train_loss", "train_accuracy")
REGRESSION = ("val_loss", "val_mae", "val_rmse", "val_r2", "train_loss")


def claimable_metrics(spec: ExperimentSpec) -> tuple[str, ...]:
    """The metrics that every trial of this experiment will have.

    A batch-normalized model that is evaluated in further ways has its validation metrics under each of them, such as
    `val_loss_recalibrated`.
    """
    plain = CLASSIFICATION if spec.dataset.task == "classification" else REGRESSION
    norm = getattr(spec.resolved().model, "batch_norm", None)
    ways = norm.evaluation[1:] if norm else ()
    return (*plain, *(f"{name}_{way}" for way in ways for name in plain if name.startswith("val_")))


def lower_is_better(metric: str) -> bool:
    """Direction of a metric."""
    return metric_direction(metric) == "lower"


def training_metric(metric: str) -> str:
    """The training metric that a validation metric, however it was measured, is held against for its gap."""
    return "train_" + metric.removeprefix("val_").split("_")[0]
