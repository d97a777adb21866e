"""The worker processes: registered, beating, and recognised as dead by a neighbour on the same machine."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from services.db.clock import CLOCK
from services.db.tables import CohortRow, WorkerRow
from services.heartbeat import ALIVE_SECONDS

FORGET_SECONDS = 3600.0
"""A worker silent for so long, and without a cohort, is taken off the list."""
MOST_STORES = 1_000
MOST_PLACE = 500


@dataclass(frozen=True)
class Identity:
    """Which process a worker is; the pid alone may come again.

    `boot_id` also tells apart what sees other processes: a container's numbers say nothing in the next container.
    """

    host: str
    boot_id: str
    pid: int
    pid_start_time: float


@dataclass(frozen=True)
class Store:
    """Where a process keeps its files: by what the store is known, and what that process calls its place."""

    id: str
    place: str


@dataclass(frozen=True)
class WorkerStore:
    """The store of one worker."""

    worker_id: str
    host: str
    store: Store


def trains_on(device: str) -> ColumnElement[bool]:
    """Workers that train on this device, cpu or gpu.

    A row has both words where both are at hand. Workers of before wrote cuda for a GPU, and nothing where they did not
    say; one that does not say has a processor at least.
    """
    if device == "gpu":
        return or_(WorkerRow.device.contains("gpu"), WorkerRow.device == "cuda")
    return or_(WorkerRow.device.contains("cpu"), WorkerRow.device.is_(None))


def alive() -> ColumnElement[bool]:
    """Workers that have lately shown that they live, and are not about to end."""
    return and_(WorkerRow.heartbeat_at > CLOCK - ALIVE_SECONDS, WorkerRow.draining.is_(False))


def register(session: Session, worker_id: str, identity: Identity, slots: int, device: str | None) -> None:
    """Put the worker on the list."""
    row = WorkerRow(id=worker_id, **vars(identity), slots=slots, device=device, heartbeat_at=0.0)
    session.add(row)
    session.flush()
    beat(session, worker_id)


def beat(
    session: Session,
    worker_id: str,
    *,
    draining: bool = False,
    problem: str | None = None,
    device: str | None = None,
    store: Store | None = None,
) -> bool:
    """Show that the worker lives, and what keeps it from taking work; false when it is not on the list.

    `device` is what it trains on and `store` what it keeps files in, None for what was told before.
    """
    facts = {"draining": draining, "problem": problem, **({} if device is None else {"device": device})}
    if store is not None:
        facts |= {"store_id": store.id, "store_place": store.place[:MOST_PLACE]}
    statement = (
        update(WorkerRow)
        .where(WorkerRow.id == worker_id)
        .values(heartbeat_at=CLOCK, **facts)
        .returning(WorkerRow.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).one_or_none() is not None


def forget(session: Session, worker_id: str) -> None:
    """Take a worker that has ended off the list."""
    session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


def forget_silent(session: Session) -> None:
    """Take workers off the list that have long been silent."""
    busy = select(CohortRow.lease_owner).where(CohortRow.lease_owner.is_not(None))
    session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < CLOCK - FORGET_SECONDS, WorkerRow.id.not_in(busy)))


def stores(session: Session) -> list[WorkerStore]:
    """The stores of live workers, of very many some; one that has not said which is left out."""
    rows = session.execute(
        select(WorkerRow.id, WorkerRow.host, WorkerRow.store_id, WorkerRow.store_place)
        .where(alive(), WorkerRow.store_id.is_not(None))
        .order_by(WorkerRow.id)
        .limit(MOST_STORES)
    )
    return [WorkerStore(row.id, row.host, Store(row.store_id, row.store_place or "")) for row in rows]


def neighbours(session: Session, host: str, boot_id: str) -> list[tuple[str, Identity]]:
    """The workers registered on this machine since it was started."""
    rows = session.scalars(select(WorkerRow).where(WorkerRow.host == host, WorkerRow.boot_id == boot_id))
    return [(row.id, Identity(row.host, row.boot_id, row.pid, row.pid_start_time)) for row in rows]
