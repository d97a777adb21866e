"""One number per trial: the metric at its last epoch, at its best epoch, or over the whole run."""

from typing import Literal

import numpy as np

from services.science.results import ArmResults, Floats, Outcome

At = Literal["final", "best"]

AT_WORDS = {"final": "at the last epoch", "best": "at the epoch of the lowest validation loss"}


def trial_values(arm: ArmResults, metric: str, at: At) -> Floats:
    """The metric of every trial, (trials,); NaN where a trial did not succeed: diverged, not finished, or cut short.

    `best` reads the metric at the epoch of the trial's lowest validation loss, so that the epoch is never chosen by
    the metric that is then reported (unless that metric is the validation loss itself).
    """
    curve = arm.curve(metric)
    if at == "best":
        guide = arm.curve("val_loss")
        usable = np.isfinite(guide).any(axis=1)
        picked = np.where(usable, np.argmin(np.where(np.isfinite(guide), guide, np.inf), axis=1), 0)
    else:
        present = np.isfinite(curve)
        usable = present.any(axis=1)
        picked = curve.shape[1] - 1 - np.argmax(present[:, ::-1], axis=1)
    chosen = curve[np.arange(curve.shape[0]), np.minimum(picked, curve.shape[1] - 1)]
    return np.where(usable & arm.having(Outcome.FINISHED) & np.isfinite(chosen), chosen, np.nan)
