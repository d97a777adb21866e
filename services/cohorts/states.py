"""The states of a cohort and its moves; a trial has the same, and `diverged` beside `succeeded`.

    queued    waits for a worker
    running   a worker holds the lease
    paused    set aside by request, until resumed
    succeeded every epoch is stored (or every trial has diverged)
    failed    its failure or loss budget is used up
    cancelled by request

A request (`desired`: run, pause, cancel) is a field beside the state. It only ever becomes more severe while the cohort
runs, except that resume takes a pause back.
"""

from collections.abc import Mapping

FINAL = ("succeeded", "failed", "cancelled")
FINAL_TRIAL = (*FINAL, "diverged")

MOVES: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"running", "paused", "cancelled"}),
    "running": frozenset({"queued", "paused", *FINAL}),
    "paused": frozenset({"queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset(),
}
"""What each state may become; failed becomes queued only by a user's retry."""

MAX_FAILURES = 2
"""The experiment's fault: an exception, a crash, a hang. Then a cohort is split; a trial that stands alone fails.

Of either budget: a stored checkpoint sets the count back, for then there was progress.
"""
MAX_LOSSES = 5
"""A worker died or vanished."""
BACKOFF_SECONDS, BACKOFF_CAP_SECONDS = 2.0, 300.0
"""Between two attempts after repeated trouble: at first, doubled each time, and at most."""
