"""The `firstlight` command: run the service, and use it from a shell."""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from firstlight import answers, before_training, experiments, keys, local_service, uploads
from firstlight.endings import EXIT_CODES, INTERRUPTED, OneLineErrors, close_output
from firstlight.installed import PRODUCT, version_of
from firstlight.output import NoteHandler

COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "Experiments": {
        "submit": experiments.submit,
        "watch": experiments.watch,
        "status": experiments.status,
        "list": experiments.list_experiments,
        "pause": experiments.pause,
        "resume": experiments.resume,
        "cancel": experiments.cancel,
        "retry": experiments.retry,
        "clone": experiments.clone,
        "delete": experiments.delete,
    },
    "Answers": {
        "compare": answers.compare,
        "claims": answers.claims,
        "figure": answers.figure,
        "export": answers.export,
        "open": answers.open_page,
    },
    "Before training": {
        "presets": before_training.presets,
        "catalogue": before_training.catalogue,
        "recommend": before_training.recommend,
        "predict": before_training.predict,
        "upload": uploads.upload,
    },
    "The service of this machine": {
        "up": local_service.up,
        "demo": local_service.demo,
        "backup": local_service.backup,
        "restore": local_service.restore,
        "doctor": local_service.doctor,
    },
}
"""Every command by the panel of the help page that shows it."""
PIPES = "Tables are plain lines with tabs between values, without a head, where standard output is no terminal."

app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    help=__doc__,
    epilog=f"{EXIT_CODES} {PIPES}",
    pretty_exceptions_enable=False,
)
for _panel, _commands in COMMANDS.items():
    for _name, _function in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_function)
app.add_typer(keys.app, name="keys", rich_help_panel="The service of this machine")


def _show_version(wish: bool) -> None:
    if wish:
        print(f"firstlight {version_of(PRODUCT) or '(not installed, run from its sources)'}")
        raise typer.Exit(0)


@app.callback()
def general(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Run the service, and use it from a shell."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors become one clear line and an exit code, never a stack trace."""
    for stream in (sys.stdout, sys.stderr):
        _take_any_character(stream)
    log = logging.getLogger("firstlight")
    handler = NoteHandler()
    log.addHandler(handler)
    try:
        app(arguments, prog_name="firstlight")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        log.removeHandler(handler)
        try:
            sys.stdout.flush()
        except OSError:
            close_output()


def _take_any_character(stream: Any) -> None:
    """What the encoding of a stream cannot say is spelled out instead of ending the command."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
