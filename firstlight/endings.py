"""How the command ends: its exit codes, and every error as a line that says what to do."""

import os
import sys
import traceback
from typing import Any, NoReturn

import httpx
import typer
from typer.core import TyperGroup

from firstlight.address import AddressError
from firstlight.client import FirstlightHTTPError, UnexpectedAnswerError
from firstlight.output import note

REFUSED = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130
PIPE_CLOSED = 141

EXIT_CODES = (
    "Exit codes: 0 done; 1 the study failed or was cancelled, or the service refused; 2 wrong usage, or a file that "
    "cannot be read or written; 3 no service answers, or what answers is none; 130 Ctrl-C; 141 the reader of a pipe is "
    "gone."
)

OWN_WORDS: dict[type[Exception], int] = {
    AddressError: USAGE,
    FirstlightHTTPError: REFUSED,
    UnexpectedAnswerError: UNREACHABLE,
}
"""Errors of the client whose words say all."""

OF_TYPER: type[Exception] = next(
    (kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"), typer.BadParameter
)
"""What typer prints by itself; the name by which it can be reached changes between its versions."""


class CommandError(Exception):
    """What keeps a command from its work, as one line.

    Args:
        line: names the field, the value and what is legal there.
        code: that the command ends with.
    """

    def __init__(self, line: str, code: int = USAGE) -> None:
        super().__init__(line)
        self.code = code


class OneLineErrors(TyperGroup):
    """Commands whose errors become one line and an exit code, never a stack trace."""

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run what the arguments ask for, and leave."""
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except typer.Abort:
            code = INTERRUPTED
        except OF_TYPER as error:
            code = _wrong_usage(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, OF_TYPER):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            close_output()
            raise typer.Exit(PIPE_CLOSED) from None
        except Exception as error:  # noqa: BLE001 - the last catch: a user reads one line, whatever happened
            line, code = explained(error)
            note(line, style="red")
            raise typer.Exit(code) from None
        return answer


def _wrong_usage(error: Any) -> int:
    """Say what typer does not understand, and where it is explained; the exit code."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        page = f"{context.command_path} --help" if context is not None else "firstlight --help"
        note(f"{error.format_message().rstrip('.')}; see `{page}`", style="red")
    return int(error.exit_code)


def explained(error: Exception) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, CommandError):
        return str(error), error.code
    for kind, code in OWN_WORDS.items():
        if isinstance(error, kind):
            return str(error), code
    if isinstance(error, httpx.HTTPError):
        return _unreachable(error), UNREACHABLE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", USAGE
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {os.path.basename(frame.filename)}:{frame.lineno}" for frame in place)  # noqa: PTH119
    return f"a fault of this command or an answer it does not know ({type(error).__name__}: {error}{where})", REFUSED


def close_output() -> None:
    """Send what is still to be printed nowhere: whoever read it is gone."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _unreachable(error: httpx.HTTPError) -> str:
    try:
        url = error.request.url
        address = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
    except RuntimeError:
        address = "the address"
    why = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"no service answers at {address} ({why}); start one with `firstlight up`, or name it with --url"
    if isinstance(error, httpx.TimeoutException):
        return f"the service at {address} took too long to answer ({why})"
    return f"the connection to {address} broke off ({why})"
