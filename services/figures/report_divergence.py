"""What a report says of trials that diverged: how many of which arm, when, and where it was seen first."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.tables import TrialRow

SEEDS_NAMED = 5
"""Fewer trials than these are named by their seeds."""


@dataclass
class _Diverged:
    """What became of the trials of one arm."""

    label: str
    seeds: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    places: Counter[str] = field(default_factory=Counter)


def divergences(session: Session, experiment_id: str) -> tuple[str, ...]:
    """One line for each arm with trials that diverged, those with the most first.

    Args:
        session: any session.
        experiment_id: whose trials are read.
    """
    own = TrialRow.experiment_id == experiment_id
    query = (
        select(TrialRow.arm_key, TrialRow.label, TrialRow.seed, TrialRow.diverged)
        .where(own, TrialRow.state == "diverged")
        .order_by(TrialRow.position)
    )
    found: dict[str, _Diverged] = {}
    for arm_key, label, seed, diverged in session.execute(query):
        arm = found.setdefault(arm_key, _Diverged(label))
        arm.seeds.append(seed)
        known = diverged or {}
        if known.get("epoch") is not None:
            arm.epochs.append(known["epoch"])
        if known.get("layer"):
            arm.places["the loss" if known["layer"] == "loss" else known["layer"]] += 1
    if not found:
        return ()
    counts = select(TrialRow.arm_key, func.count()).where(own).group_by(TrialRow.arm_key)
    trials = {arm_key: int(count) for arm_key, count in session.execute(counts)}
    arms = sorted(found.items(), key=lambda item: -len(item[1].seeds))
    return tuple(_line(arm, trials[arm_key]) for arm_key, arm in arms)


def _line(arm: _Diverged, trials: int) -> str:
    count = len(arm.seeds)
    seeds = f" (seed{'s' if count > 1 else ''} {', '.join(map(str, arm.seeds))})" if count < SEEDS_NAMED else ""
    parts = [f"{arm.label}: {count} of {trials} trials{seeds}"]
    if arm.epochs:
        first, last = min(arm.epochs), max(arm.epochs)
        parts.append(f"in epoch {first}" if first == last else f"in epochs {first} to {last}")
    if len(arm.places) == 1:
        parts.append(f"first in {next(iter(arm.places))}")
    elif arm.places:
        places = ", ".join(f"{place} ({times})" for place, times in arm.places.most_common())
        parts.append(f"first in {places}")
    return ", ".join(parts)
