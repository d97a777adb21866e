"""The verbs of an experiment, under the names they have in a URL."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from services.cohorts import requests
from services.db.tables import ExperimentRow
from services.experiments import store


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


def steer(session: Session, experiment_id: str, action: Action) -> ExperimentRow:
    """Ask for `action`; what is running follows a moment later.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: the state forbids it.
    """
    store.get(session, experiment_id)
    REQUESTS[action](session, experiment_id)
    session.flush()
    row = store.get(session, experiment_id)
    session.refresh(row)
    return row
