"""`firstlight demo`: the whole path on real data in half a minute, from an empty folder to a report."""

import tempfile
import time
from pathlib import Path

from rich.console import Console

from firstlight.client import Client
from firstlight.display import comparison_view, follow
from firstlight.process import Service, StartError

PRESET = "quickstart"


def run_demo(report: Path, console: Console) -> int:
    """Run the quickstart preset in a service of its own; show and save what came out; return the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="firstlight-demo-") as folder:
        home = Path(folder)
        logs = home / "demo.log"
        try:
            with logs.open("wb") as log, Service(home, port=0, log=log) as service, Client(service.url) as client:
                console.print(f"service at {service.url}, ready after {time.monotonic() - began:.1f} s")
                preset = client.catalogue("presets", PRESET)
                console.print(f"[bold]{preset['title']}")
                experiment = client.submit(preset["spec"])
                final = follow(client, experiment, console)
                if final["state"] != "succeeded":
                    console.print(f"[red]the experiment ended {final['state']}: {final.get('error')}")
                    _show(logs, console)
                    return 1
                console.print(comparison_view(client.comparison(experiment["id"])))
                report.write_bytes(client.report(experiment["id"]))
        except StartError as error:
            console.print(f"[red]{error}")
            _show(logs, console)
            return 1
    console.print(f"report: {report.resolve()}  ({time.monotonic() - began:.1f} s in all)")
    return 0


def _show(logs: Path, console: Console) -> None:
    console.print(logs.read_text("utf-8", errors="replace")[-4000:], markup=False, highlight=False)
