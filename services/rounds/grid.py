"""Store planned trials: the cohorts of a grid and their trials, at the submission or in a later round of seeds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from services.db.base import new_id
from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.science.grid import Grid


def store_grid(
    session: Session,
    experiment: ExperimentRow,
    grid: Grid,
    cohorts: Sequence[Sequence[int]],
    *,
    first_position: int = 0,
    first_cohort: int = 0,
    state: str = "queued",
) -> None:
    """Insert waiting cohorts and trials as plain rows: two statements, however large the grid is.

    Args:
        session: a writing session.
        experiment: already stored.
        grid: its arms and trials.
        cohorts: for each cohort its trials' positions in the grid.
        first_position: of the grid's trials among all of the experiment's.
        first_cohort: position of the first cohort among all of the experiment's.
        state: queued, or paused.
    """
    arms = [
        {"arm": arm.model_dump(mode="json"), "arm_key": arm.key(), "label": label}
        for arm, label in zip(grid.arms, grid.labels, strict=True)
    ]
    cohort_rows: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    for place, members in enumerate(cohorts):
        cohort_id = new_id("coh")
        cohort_rows.append(
            {
                "id": cohort_id,
                "experiment_id": experiment.id,
                "position": first_cohort + place,
                "size": len(members),
                "epochs": experiment.epochs,
                "state": state,
            }
        )
        trials += [
            {
                "id": new_id("trl"),
                "experiment_id": experiment.id,
                "cohort_id": cohort_id,
                "slot": slot,
                "position": first_position + member,
                "state": state,
                "seed": grid.trials[member].seed,
                **arms[grid.trials[member].arm_index],
            }
            for slot, member in enumerate(members)
        ]
    session.execute(insert(CohortRow), cohort_rows)
    session.execute(insert(TrialRow), trials)
