"""What is left to tidy up when nobody is in a hurry: curves to pack, checkpoint folders nobody needs."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.cohorts.checkpoints import lent
from services.db.tables import CohortRow
from services.states import FINAL

IDS_AT_ONCE = 400


def unneeded(session: Session, cohort_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of these cohorts, those whose files nothing will resume from (they are final), and those that are unknown."""
    states: dict[str, str] = {}
    for start in range(0, len(cohort_ids), IDS_AT_ONCE):
        part = cohort_ids[start : start + IDS_AT_ONCE]
        rows = session.execute(select(CohortRow.id, CohortRow.state).where(CohortRow.id.in_(part)))
        states.update((row.id, row.state) for row in rows)
    final = [cohort_id for cohort_id in cohort_ids if states.get(cohort_id) in FINAL]
    needed = lent(session, final)
    return [cohort_id for cohort_id in final if cohort_id not in needed], [
        cohort_id for cohort_id in cohort_ids if cohort_id not in states
    ]
