"""The states of an experiment, a cohort and a trial, declared once, and a cohort's moves between them.

    queued    waits for a worker
    running   a worker holds the lease
    paused    set aside by request, until resumed
    succeeded every epoch is stored (or every trial has diverged)
    failed    its failure or loss budget is used up, or it cannot be read
    cancelled by request
    diverged  of a trial alone: its numbers became non-finite

An experiment's state follows from its cohorts'. A request (`desired`: run, pause, cancel) is a field beside it; it
only ever becomes more severe while the cohort runs, except that resume takes a pause back.
"""

from collections.abc import Mapping
from typing import Literal, get_args

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
TrialState = Literal["queued", "running", "paused", "succeeded", "diverged", "failed", "cancelled"]
Desire = Literal["run", "pause", "cancel"]

STATES: tuple[str, ...] = get_args(State)
TRIAL_STATES = (*STATES, "diverged")
DESIRES: tuple[str, ...] = get_args(Desire)
FINAL = ("succeeded", "failed", "cancelled")
FINAL_TRIAL = (*FINAL, "diverged")
TRAINED = ("succeeded", "diverged")
"""Of a trial: there was nothing left to train. A failed or cancelled one has what it had trained by then."""

MOVES: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"running", "paused", "cancelled", "failed"}),
    "running": frozenset({"queued", "paused", *FINAL}),
    "paused": frozenset({"queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset(),
}
"""What the state of a cohort may become; failed becomes queued only by a user's retry."""


def epochs_behind(state: str, trials: int, epochs_done: int, epochs: int) -> int:
    """Epochs that count as done for so many trials in a state.

    Args:
        state: of the trials.
        trials: how many there are.
        epochs_done: the sum of their last stored epochs.
        epochs: how many each was to train.
    """
    return trials * epochs if state in TRAINED else epochs_done


class IllegalMoveError(RuntimeError):
    """A cohort was to become what it never becomes: a fault of the code, not of what is stored."""


def check_move(before: str | None, after: str) -> None:
    """Refuse a move that no cohort makes; None is a cohort that was not there before.

    Raises:
        IllegalMoveError: it is not in `MOVES`.
    """
    if before is not None and before != after and after not in MOVES[before]:
        raise IllegalMoveError(f"a cohort that is {before} never becomes {after}")
