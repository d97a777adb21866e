"""How much trouble a cohort may have, and how long it rests after it."""

MAX_FAILURES = 2
"""The experiment's fault: an exception, a crash, a hang. Then a cohort is split; a trial that stands alone fails.

Of either budget: a stored checkpoint sets the count back, for then there was progress.
"""
MAX_LOSSES = 5
"""A worker died or vanished."""
BACKOFF_SECONDS, BACKOFF_CAP_SECONDS = 2.0, 300.0
"""Between two attempts after repeated trouble: at first, doubled each time, and at most."""
