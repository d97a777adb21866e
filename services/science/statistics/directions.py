"""Which way a metric is better."""

from typing import Literal

Direction = Literal["lower", "higher"]

LOWER_IS_BETTER = frozenset({"loss", "mae", "mse", "rmse", "error"})
HIGHER_IS_BETTER = frozenset({"accuracy", "r2"})


def metric_direction(metric: str) -> Direction:
    """Direction of a metric such as ``val_loss`` or ``train_accuracy``: the part after train_ or val_ decides.

    Raises:
        ValueError: an unknown metric; the message names the known ones.
    """
    # What follows says how it was measured: val_loss_recalibrated.
    name = metric.removeprefix("train_").removeprefix("val_").removeprefix("test_").split("_")[0]
    if name in LOWER_IS_BETTER:
        return "lower"
    if name in HIGHER_IS_BETTER:
        return "higher"
    names = ", ".join(sorted(LOWER_IS_BETTER | HIGHER_IS_BETTER))
    raise ValueError(f"metric {metric!r} has no known direction; a metric is train_ or val_ with one of: {names}")
