"""The error family. Nothing here knows HTTP: `api/errors.py` gives each class its status.

FirstlightError
├── NotFoundError            no such thing, or not yours
├── ConflictError            the state forbids it
├── InvalidInputError        the request is well-formed but cannot be done; carries field errors
│   ├── SpecInvalidError     a spec that fails validation
│   ├── GridTooLargeError    more trials, memory or time than allowed
│   ├── IdempotencyMismatchError   the key was used with another body
│   └── DatasetUnavailableError    the data set is not here and cannot be fetched
├── DatasetInvalidError      a data file that does not hold what it promised
├── StoredUnreadableError    what is stored of it cannot be read
├── GoneError                it was here; its files are not any more
├── BusyError                a limit is reached; come back later
│   └── WorkspaceFullError   the workspace has as much unfinished work as it may
└── UnavailableError         the database or another part is away; come back later
    └── QueueFullError       the service has as much unfinished work as it takes
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one place of the input.

    Attributes:
        pointer: RFC 6901 JSON pointer into the body, or the query parameter's name.
        message: names the value and the legal choice.
    """

    pointer: str
    message: str


class FirstlightError(Exception):
    """Root of every error raised on purpose. `code` is stable and part of the contract; `title` is its sentence."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, problems: Sequence[FieldProblem] = (), *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)
        self.retry_after = retry_after


class NotFoundError(FirstlightError):
    """No such experiment, trial, data set or figure."""

    code = "not_found"
    title = "Not found"


class ConflictError(FirstlightError):
    """The state of the thing forbids the request."""

    code = "conflict"
    title = "The current state forbids this"


class InvalidInputError(FirstlightError):
    """The request can be read but not done."""

    code = "invalid_input"
    title = "The request cannot be carried out"


class SpecInvalidError(InvalidInputError):
    """The spec breaks a rule; each problem has its JSON pointer."""

    code = "spec_invalid"
    title = "The experiment spec is not valid"


class GridTooLargeError(InvalidInputError):
    """The expanded grid is larger than this service accepts."""

    code = "grid_too_large"
    title = "The expanded grid does not fit"


class IdempotencyMismatchError(InvalidInputError):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"
    title = "The idempotency key was used with another request"


class DatasetUnavailableError(InvalidInputError):
    """The data set is neither in the data folder nor in a package, and cannot be fetched."""

    code = "dataset_unavailable"
    title = "The data set is not available"


class DatasetInvalidError(FirstlightError):
    """A data file does not hold what it promised (checksum, columns, values)."""

    code = "dataset_invalid"
    title = "The data file is not valid"


class StoredUnreadableError(FirstlightError, ValueError):
    """A stored row holds what cannot be read: text that is no JSON or no UTF-8, or a spec that is none."""

    code = "unreadable"
    title = "What is stored cannot be read"


class GoneError(FirstlightError):
    """The files behind this were removed."""

    code = "gone"
    title = "No longer there"


class BusyError(FirstlightError):
    """A limit is reached; try again later."""

    code = "too_busy"
    title = "A limit is reached"


class WorkspaceFullError(BusyError):
    """The workspace has as much unfinished work as it may."""

    code = "workspace_full"
    title = "The workspace is full"


class UnavailableError(FirstlightError):
    """A part the service needs is away; try again later."""

    code = "unavailable"
    title = "Temporarily unavailable"


class QueueFullError(UnavailableError):
    """The service has as much unfinished work as it takes."""

    code = "queue_full"
    title = "The queue is full"
