"""The spec of a stored experiment."""

from pydantic import ValidationError

from services.db.tables import ExperimentRow
from services.errors import StoredUnreadableError
from services.science.spec import ExperimentSpec


def stored_spec(experiment: ExperimentRow) -> ExperimentSpec:
    """What was submitted.

    Raises:
        StoredUnreadableError: what is stored is no spec.
    """
    try:
        return ExperimentSpec.model_validate(experiment.spec)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(map(str, first["loc"]))
        raise StoredUnreadableError(f"the stored spec of {experiment.id} is none: {place}: {first['msg']}") from error
