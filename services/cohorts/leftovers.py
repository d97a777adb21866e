"""What is left to tidy up when nobody is in a hurry: curves to pack, checkpoint folders nobody needs."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.cohorts.states import FINAL
from services.db.tables import CohortRow

IDS_AT_ONCE = 400


def unneeded(session: Session, cohort_ids: Sequence[str]) -> list[str]:
    """Of these cohorts, those that are final or gone: nothing will resume from their files."""
    alive: set[str] = set()
    for start in range(0, len(cohort_ids), IDS_AT_ONCE):
        part = cohort_ids[start : start + IDS_AT_ONCE]
        alive.update(session.scalars(select(CohortRow.id).where(CohortRow.id.in_(part), CohortRow.state.not_in(FINAL))))
    return [cohort_id for cohort_id in cohort_ids if cohort_id not in alive]
