"""Commands about the service of this machine: run it, show it, keep it, check it."""

import time
from pathlib import Path
from typing import Annotated

import typer

from firstlight.demo import run_demo
from firstlight.doctor import examine
from firstlight.endings import REFUSED, CommandError
from firstlight.installed import why_no_service
from firstlight.options import Url
from firstlight.output import console, note
from firstlight.process import Service, StartError, run_module, until_signalled

HomeFolder = Annotated[
    Path | None, typer.Option("--home", help="Of the service; default: FIRSTLIGHT_HOME or ~/.firstlight.")
]


def up(
    home: Annotated[Path, typer.Option(envvar="FIRSTLIGHT_HOME", help="Database, checkpoints and figures.")] = Path(
        "~/.firstlight"
    ),
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    slots: Annotated[int, typer.Option(min=0, help="Cohorts trained at once; 0 starts no worker.")] = 1,
) -> None:
    """Run the embedded service in the foreground; prints `ready http://H:P` when it accepts requests."""
    _need_service(worker=slots > 0)
    with until_signalled() as signals:
        service = Service(home, host=host, port=port, slots=slots)
        try:
            started = service.start(lambda: signals)
        except StartError as error:
            service.stop()
            raise CommandError(str(error), REFUSED) from None
        if not started:
            service.stop()
            raise typer.Exit(0)
        print(f"ready {service.url}", flush=True)
        note(f"dashboard {service.url}/  ·  OpenAPI page {service.url}/docs  ·  stop with Ctrl-C")
        code = _until_told(service, signals)
        service.stop()
    raise typer.Exit(code)


def _need_service(*, worker: bool = True) -> None:
    if problem := why_no_service(worker=worker):
        raise CommandError(problem, REFUSED)


def _until_told(service: Service, signals: list[int]) -> int:
    while not signals:
        if (ended := service.tend()) is not None:
            note(f"{ended}; see its lines above", style="red")
            return 1
        time.sleep(0.2)
    return 0


def demo(
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("report.html"),
) -> None:
    """Train the quickstart study in a temporary embedded service, compare, and write a self-contained report."""
    _need_service()
    raise typer.Exit(run_demo(report, console))


def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet, such as firstlight.zip.")],
    home: HomeFolder = None,
) -> None:
    """Write all that the service of this machine has stored into one file, while it runs."""
    _need_service(worker=False)
    raise typer.Exit(run_module("services.backup", "save", str(file.absolute()), home=home))


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `firstlight backup` has written.")],
    home: HomeFolder = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there.")] = False,
) -> None:
    """Put a backup in place, while the service is stopped; refuses where there is something already."""
    _need_service(worker=False)
    options = ["--replace"] if replace else []
    raise typer.Exit(run_module("services.backup", "restore", str(file.absolute()), *options, home=home))


def doctor(url: Url = None) -> None:
    """Check the installation, the service and its parts; exits 1 when something is wrong."""
    raise typer.Exit(examine(url, console))
