"""What a report says of trials that diverged: how many of which arm, when, and where it was seen first."""

from collections import Counter

from services.science.results import ArmResults, ExperimentResults, Outcome

SEEDS_NAMED = 5
"""Fewer trials than these are named by their seeds."""


def divergences(results: ExperimentResults) -> tuple[str, ...]:
    """One line for each arm with trials that diverged, those with the most first."""
    arms = [arm for arm in results.arms if arm.diverged]
    return tuple(_line(arm) for arm in sorted(arms, key=lambda arm: -arm.diverged))


def _line(arm: ArmResults) -> str:
    trials = [trial for trial in arm.trials if trial.outcome is Outcome.DIVERGED]
    count = len(trials)
    named = f" (seed{'s' if count > 1 else ''} {', '.join(str(trial.seed) for trial in trials)})"
    parts = [f"{arm.label}: {count} of {len(arm.trials)} trials{named if count < SEEDS_NAMED else ''}"]
    epochs = [trial.diverged_at for trial in trials if trial.diverged_at is not None]
    if epochs:
        first, last = min(epochs), max(epochs)
        parts.append(f"in epoch {first}" if first == last else f"in epochs {first} to {last}")
    diverged_in = (trial.diverged_in for trial in trials if trial.diverged_in)
    places = Counter("the loss" if place == "loss" else place for place in diverged_in)
    if len(places) == 1:
        parts.append(f"first in {next(iter(places))}")
    elif places:
        listed = ", ".join(f"{place} ({times})" for place, times in places.most_common())
        parts.append(f"first in {listed}")
    return ", ".join(parts)
