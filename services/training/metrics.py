"""From sums over rows to the numbers of an epoch row."""

import numpy as np
from numpy.typing import NDArray

from services.training.engine import EpochSums, EvaluationSums

Metrics = dict[str, NDArray[np.float64]]
"""Numbers per slot by metric name; NaN where there is none."""


def target_scatter(targets: NDArray[np.generic]) -> float:
    """Sum of squared deviations of the validation targets from their mean: the denominator of R squared."""
    values = np.asarray(targets, dtype=np.float64)
    return float(((values - values.mean(axis=0)) ** 2).sum())


def epoch_metrics(training: EpochSums | None, validation: EvaluationSums, outputs: int, scatter: float) -> Metrics:
    """Build the metrics of one epoch for every slot.

    Args:
        training: None for epoch 0, whose training metrics are NaN.
        validation: sums over the validation rows.
        outputs: numbers per row of a regression.
        scatter: see `target_scatter`; where it is 0, `val_r2` is NaN.
    """
    unknown = np.full(len(validation.loss), np.nan)
    metrics: Metrics = {
        "train_loss": unknown if training is None else training.loss / training.rows,
        "val_loss": validation.loss / validation.rows,
    }
    if validation.correct is not None:
        trained = training is not None and training.correct is not None
        metrics["train_accuracy"] = training.correct / training.rows if trained else unknown  # type: ignore[union-attr]
        metrics["val_accuracy"] = validation.correct / validation.rows
    if validation.absolute is not None and validation.squared is not None:
        count = validation.rows * outputs
        metrics["val_mae"] = validation.absolute / count
        metrics["val_rmse"] = np.sqrt(validation.squared / count)
        metrics["val_r2"] = 1.0 - validation.squared / scatter if scatter > 0.0 else unknown
    return metrics


def other_metrics(validation: EvaluationSums, outputs: int, scatter: float) -> Metrics:
    """The validation metrics under further batch norm statistics, such as ``val_loss_recalibrated``."""
    metrics: Metrics = {}
    for kind, sums in validation.others.items():
        for name, values in epoch_metrics(None, sums, outputs, scatter).items():
            if name.startswith("val_"):
                metrics[f"{name}_{kind}"] = values
    return metrics
