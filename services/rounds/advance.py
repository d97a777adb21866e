"""Add seeds in rounds until the question of the spec is settled, or the most seeds are used up.

The record of an experiment says which round it is in, what each look found, and why it stopped.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.tables import CohortRow, ExperimentRow
from services.results.loader import load_results
from services.rounds.grid import store_grid
from services.science.grid import cut, expand
from services.science.seed_rounds import PreciseUntil, SeedRounds
from services.science.spec import ExperimentSpec
from services.science.statistics.directions import metric_direction
from services.science.statistics.sequential import decide_halfwidth, decide_ranked

GUARANTEE = (
    "with probability {confidence:g} or more, for normally distributed values, no interval of any round is wrong, so "
    "the looks before the last one cost nothing in errors"
)


def first_round(rounds: SeedRounds | None) -> dict[str, Any] | None:
    """The record of an experiment that starts."""
    if rounds is None:
        return None
    return {
        "round": 1,
        "rounds": rounds.rounds,
        "seeds": rounds.min,
        "most_seeds": rounds.max,
        "stopped": False,
        "reason": None,
        "guarantee": GUARANTEE.format(confidence=rounds.confidence),
        "looks": [],
    }


def next_round(session: Session, experiment: ExperimentRow) -> bool:
    """Look at a round whose trials are all final; add the seeds of the next one unless the question is settled.

    The experiment's row is locked. Its record is brought up to date either way.

    Returns:
        Whether trials were added.
    """
    record = experiment.rounds
    if record is None or record["stopped"]:
        return False
    spec = ExperimentSpec.model_validate(experiment.spec)
    rounds = spec.rounds
    assert rounds is not None
    results = load_results(session, experiment)
    look = _look(results.finals(rounds.metric), rounds, record["round"])
    looks: list[dict[str, Any]] = [*record["looks"], {"round": record["round"], "seeds": record["seeds"], **look}]
    changes: dict[str, Any] = {"looks": looks, "stopped": True, "reason": look["reason"]}
    if not look["stop"]:
        number = int(record["round"]) + 1
        after = rounds.seeds_after(number)
        labels = {arm.key: arm.label for arm in results.arms}
        _add_seeds(session, experiment, spec, range(int(record["seeds"]), after), labels)
        changes = {"looks": looks, "round": number, "seeds": after}
    experiment.rounds = {**record, **changes}
    session.flush()
    return not look["stop"]


def _look(values: NDArray[np.float64], rounds: SeedRounds, number: int) -> dict[str, Any]:
    """What the statistics say of one round."""
    # An arm whose every trial diverged has lost already, and no further seed will say more.
    values = values[np.isfinite(values).any(axis=1)]
    if len(values) == 0:
        return {"stop": True, "reason": f"no trial has a finite {rounds.metric}", "level": None}
    until = rounds.until
    if isinstance(until, PreciseUntil):
        samples = [row[np.isfinite(row)] for row in values]
        decision = decide_halfwidth(samples, until.ci_halfwidth, rounds.confidence, number, rounds.rounds)
    else:
        if len(values) == 1:
            return {"stop": True, "reason": "there is only one arm to rank", "level": None}
        lower = metric_direction(rounds.metric) == "lower"
        decision = decide_ranked(
            values, lower, rounds.confidence, number, rounds.rounds, until.tolerance, goal=until.ranked
        )
    return {"stop": decision.stop, "reason": decision.reason, "level": decision.level}


def _add_seeds(
    session: Session, experiment: ExperimentRow, spec: ExperimentSpec, seeds: range, labels: Mapping[str, str]
) -> None:
    """Queue every arm with the new seeds, in cohorts no larger than the experiment's own."""
    planned = expand(spec.model_copy(update={"seeds": tuple(seeds)}))
    # An arm keeps the name that it was stored with.
    grid = replace(planned, labels=tuple(labels[arm.key()] for arm in planned.arms))
    last, width = session.execute(
        select(func.max(CohortRow.position), func.max(CohortRow.size)).where(CohortRow.experiment_id == experiment.id)
    ).one()
    store_grid(
        session,
        experiment,
        grid,
        cut(grid, width),
        first_position=experiment.trial_count,
        first_cohort=last + 1,
        # Whoever asked for a pause while the last cohort of a round ended gets it before the next one begins.
        state="paused" if experiment.desired == "pause" else "queued",
    )
    experiment.trial_count += len(grid.trials)
