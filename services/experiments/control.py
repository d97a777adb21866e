"""The verbs of an experiment, under the names they have in a URL."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.cohorts import requests
from services.db.tables import ExperimentRow, TrialRow
from services.experiments import store
from services.experiments.admission import admit
from services.settings import Settings


class Action(StrEnum):
    """What can be asked of an experiment."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


REQUESTS: Mapping[Action, Callable[[Session, str], Any]] = {
    Action.CANCEL: requests.request_cancel,
    Action.PAUSE: requests.request_pause,
    Action.RESUME: requests.resume,
    Action.RETRY: requests.retry_failed,
}


def steer(session: Session, experiment_id: str, action: Action, settings: Settings) -> ExperimentRow:
    """Ask for `action`; what is running follows a moment later.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: the state forbids it.
        WorkspaceFullError, QueueFullError: there is no room for what would be retried; it stays failed.
    """
    if store.get(session, experiment_id).state == "failed" and action is Action.RETRY:
        failed = select(func.count()).where(TrialRow.experiment_id == experiment_id, TrialRow.state == "failed")
        admit(session, settings, session.execute(failed).scalar_one())
    REQUESTS[action](session, experiment_id)
    session.flush()
    row = store.get(session, experiment_id)
    session.refresh(row)
    return row
