"""Workspaces are kept apart here, at one place: a session of a workspace cannot see, change or delete another's rows.

Every statement of such a session gets the condition by itself, whoever writes it: the experiments of the workspace, and
of the tables that name an experiment only the rows of those. What hangs further below (curves, checkpoints, layers) is
reached by ids that such a statement has given. The tables that name no workspace are the service's own.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import event, exists
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE, CohortRow, EventRow, ExperimentRow, IdempotencyRow, TrialRow
from services.db.unit_of_work import UnitOfWork

WORKSPACE = "workspace"
OF_EXPERIMENTS = (TrialRow, CohortRow, EventRow, IdempotencyRow)
EVERY_WORKSPACE: dict[str, Any] = {"every_workspace": True}
"""Execution options of a statement about the service as a whole (counts, the times of past cohorts)."""

Result = TypeVar("Result")


class WorkspaceDatabase:
    """The database as one workspace sees it."""

    def __init__(self, database: Database, workspace: str) -> None:
        self._database = database
        self.workspace = workspace
        self.is_sqlite = database.is_sqlite

    def within(self, workspace: str) -> "WorkspaceDatabase":
        """The same database as another workspace sees it."""
        return WorkspaceDatabase(self._database, workspace)

    @contextmanager
    def read(self) -> Generator[Session]:
        """As `Database.read`."""
        with self._database.read() as session:
            session.info[WORKSPACE] = self.workspace
            yield session

    @contextmanager
    def write(self) -> Generator[UnitOfWork]:
        """As `Database.write`."""
        with self._database.write() as session:
            session.info[WORKSPACE] = self.workspace
            yield session

    def transact(self, work: Callable[[UnitOfWork], Result]) -> Result:
        """As `Database.transact`."""

        def inside(session: UnitOfWork) -> Result:
            session.info[WORKSPACE] = self.workspace
            return work(session)

        return self._database.transact(inside)


def workspace_of(session: Session) -> str:
    """The workspace that a session is of; one of the service itself makes things in the default workspace."""
    return session.info.get(WORKSPACE, DEFAULT_WORKSPACE)


@lru_cache(maxsize=1_024)
def _conditions(workspace: str) -> tuple[Any, ...]:
    # The plain table under a name of its own: conditions on the class would be put into this one too, and so on, and a
    # statement that reads experiments itself must not be taken for the one meant here.
    owner = ExperimentRow.__table__.alias("owner")
    return (
        with_loader_criteria(ExperimentRow, ExperimentRow.workspace_id == workspace, include_aliases=True),
        *(
            with_loader_criteria(
                table,
                exists().where(owner.c.id == table.experiment_id, owner.c.workspace_id == workspace),
                include_aliases=True,
            )
            for table in OF_EXPERIMENTS
        ),
    )


@event.listens_for(Session, "do_orm_execute")
def _keep_apart(state: ORMExecuteState) -> None:
    workspace = state.session.info.get(WORKSPACE)
    # A row that this session has read already is read again, or in part, without asking whose it is.
    if workspace is None or state.is_column_load or state.is_relationship_load:
        return
    if not state.execution_options.get("every_workspace"):
        state.statement = state.statement.options(*_conditions(workspace))
