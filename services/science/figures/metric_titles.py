"""What the axes say: the words for a metric, with its unit."""

from services.science.figures.study import Study

SETS = {"train": "training", "val": "validation", "test": "test"}
QUANTITIES = {"loss": "loss", "accuracy": "accuracy", "mae": "MAE", "mse": "MSE", "rmse": "RMSE", "r2": "R²"}
LOSSES = {
    "mae": "MAE",
    "mse": "MSE",
    "cross_entropy": "cross-entropy, nats",
    "binary_cross_entropy": "binary cross-entropy, nats",
}
HIGHER_IS_BETTER = frozenset({"accuracy", "r2"})


def quantity(metric: str) -> str:
    """``val_mae`` without its set: ``mae``."""
    return metric.partition("_")[2] if metric.partition("_")[0] in SETS else metric


def lower_is_better(metric: str) -> bool:
    """Losses and errors want to be low, accuracy and R² high."""
    return quantity(metric) not in HIGHER_IS_BETTER


def metric_title(metric: str, study: Study) -> str:
    """The axis title, such as ``validation MAE (standardized)``, ``validation accuracy (share of rows)``."""
    part = SETS.get(metric.partition("_")[0], "")
    name = quantity(metric)
    words = f"{part} {QUANTITIES.get(name, name.replace('_', ' '))}".strip()
    unit = _unit(name, study)
    return f"{words} ({unit})" if unit else words


def _unit(name: str, study: Study) -> str:
    if name == "accuracy":
        return "share of rows"
    if name == "r2":
        return "1 is perfect"
    of_loss = LOSSES.get(study.loss, study.loss) if name == "loss" else ""
    scaled = "standardized target" if study.task == "regression" and study.standardized else ""
    return ", ".join(part for part in (of_loss, scaled) if part)
