"""`firstlight demo`: the whole path on real data in half a minute, from an empty folder to a report."""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from firstlight.client import Client
from firstlight.display import comparison_view, follow
from firstlight.output import plain
from firstlight.process import Service, StartError

PRESET = "quickstart"
LOOK_SECONDS = 0.2
GRACE_SECONDS = 10.0


def run_demo(report: Path, console: Console) -> int:
    """Run the quickstart preset in a service of its own; show and save what came out; return the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="firstlight-demo-") as folder:
        home = Path(folder)
        logs = home / "demo.log"
        try:
            # A worker that ends even once would end again: the demo would never be over.
            with logs.open("wb") as log, Service(home, port=0, log=log, deaths=1) as service:
                console.print(f"service at {service.url}, ready after {time.monotonic() - began:.1f} s")
                # The service answers as soon as it can; on a busy machine nobody knows when that is.
                with Client(service.url, timeout=None) as client:
                    problem = _tended(service, client, lambda: _study(client, report, console))
        except StartError as error:
            problem = str(error)
        if problem is not None:
            console.print(problem, style="red", markup=False, highlight=False)
            console.print(logs.read_text("utf-8", errors="replace")[-4000:], markup=False, highlight=False)
            return 1
    console.print(f"report: {report.resolve()}  ({time.monotonic() - began:.1f} s in all)")
    return 0


def _study(client: Client, report: Path, console: Console) -> str | None:
    """Run the study; what went wrong, if anything."""
    preset = client.catalogue("presets", PRESET)
    console.print(Text(plain(preset["title"]), style="bold"))
    experiment = client.submit(preset["spec"])
    final = follow(client, experiment, console)
    if final["state"] != "succeeded":
        return f"the experiment ended {final['state']}: {final.get('error')}"
    console.print(comparison_view(client.comparison(experiment["id"])))
    report.write_bytes(client.report(experiment["id"]))
    return None


def _tended(service: Service, client: Client, work: Callable[[], str | None]) -> str | None:
    """Do the work while the service's processes live; what went wrong with either, if anything."""
    problems: list[str] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            problems.extend(filter(None, [work()]))
        except BaseException as error:  # noqa: BLE001 - raised again below, or explained by what ended
            errors.append(error)

    thread = threading.Thread(target=run, name="demo", daemon=True)
    thread.start()
    while thread.is_alive():
        if (ended := service.tend()) is not None:
            service.stop()
            client.close()
            thread.join(GRACE_SECONDS)
            return f"{ended}, and the demo with it; its last lines:"
        thread.join(LOOK_SECONDS)
    if errors:
        raise errors[0]
    return problems[0] if problems else None
