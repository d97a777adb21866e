"""The rows that name checkpoint files. A file may be deleted only after the commit that removed its last row.

A cohort has files of its own. One that is split shares those it has with the part split off: each names the places of
its trials in them, and a child reads no more than those.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from services.artifacts.interface import cohort_folder
from services.child_protocol import CheckpointReport
from services.db.tables import CheckpointRow

KEPT = 2
"""The newest, and the one before it in case the newest file is damaged."""


def is_stored(session: Session, cohort_id: str, file: CheckpointReport) -> bool:
    """Whether a row names this very file: its acknowledgement got lost."""
    named = (CheckpointRow.cohort_id == cohort_id, CheckpointRow.path == file["path"])
    return session.execute(select(CheckpointRow.epoch).where(*named)).first() is not None


def add(session: Session, cohort_id: str, attempt: int, file: CheckpointReport) -> tuple[str, ...]:
    """Store the row of a new file and return the paths that no row names any more.

    It takes the place of one with the same last finished epoch, which was written earlier in the epoch after that.
    """
    same = (CheckpointRow.cohort_id == cohort_id, CheckpointRow.epoch == file["epoch"])
    earlier = session.scalars(select(CheckpointRow.path).where(*same)).all()
    forget(session, cohort_id, [file["epoch"]])
    session.add(
        CheckpointRow(
            cohort_id=cohort_id,
            epoch=file["epoch"],
            attempt=attempt,
            path=file["path"],
            sha256=file["sha256"],
            bytes=file["bytes"],
        )
    )
    session.flush()
    return (*_unnamed(session, earlier), *keep_newest(session, cohort_id))


def keep_newest(session: Session, cohort_id: str, count: int = KEPT) -> tuple[str, ...]:
    """Remove all but the `count` newest rows of a cohort and return the paths that no row names any more."""
    rows = session.execute(
        select(CheckpointRow.epoch, CheckpointRow.path)
        .where(CheckpointRow.cohort_id == cohort_id)
        .order_by(CheckpointRow.epoch.desc())
        .offset(count)
    ).all()
    forget(session, cohort_id, [row.epoch for row in rows])
    return _unnamed(session, [row.path for row in rows])


def _unnamed(session: Session, paths: Sequence[str]) -> tuple[str, ...]:
    """Those of the paths that no row names."""
    named: Iterable[str] = ()
    if paths:
        named = set(session.scalars(select(CheckpointRow.path).where(CheckpointRow.path.in_(paths))))
    return tuple(path for path in paths if path not in named)


def forget(session: Session, cohort_id: str, epochs: list[int]) -> None:
    """Remove the rows of these epochs (their files are damaged or no longer needed)."""
    if epochs:
        session.execute(
            delete(CheckpointRow).where(CheckpointRow.cohort_id == cohort_id, CheckpointRow.epoch.in_(epochs))
        )


def divide(session: Session, cohort_id: str, other_id: str, staying: Sequence[int], leaving: Sequence[int]) -> None:
    """Let the part that is split off share the checkpoints; the numbers are the trials' slots before the split."""
    query = select(CheckpointRow).where(CheckpointRow.cohort_id == cohort_id)
    for row in session.scalars(query.execution_options(populate_existing=True)).all():
        places = row.slots or range(len(staying) + len(leaving))
        theirs = CheckpointRow(
            cohort_id=other_id,
            epoch=row.epoch,
            attempt=row.attempt,
            path=row.path,
            sha256=row.sha256,
            bytes=row.bytes,
            slots=[places[slot] for slot in leaving],
        )
        session.add(theirs)
        row.slots = [places[slot] for slot in staying]
    session.flush()


def lent(session: Session, cohort_ids: Collection[str]) -> set[str]:
    """Of these cohorts, those that have files which another cohort still names."""
    lenders: set[str] = set()
    for cohort_id in cohort_ids:
        inside = CheckpointRow.path.startswith(f"{cohort_folder(cohort_id)}/", autoescape=True)
        query = select(CheckpointRow.cohort_id).where(inside, CheckpointRow.cohort_id != cohort_id).limit(1)
        if session.execute(query).first() is not None:
            lenders.add(cohort_id)
    return lenders
