"""The `firstlight` command: run the service, and use it from a shell."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import yaml
from rich.console import Console

from firstlight import keys
from firstlight.client import Client, FirstlightHTTPError
from firstlight.demo import run_demo
from firstlight.display import comparison_view, experiments_table, follow, quote_line
from firstlight.doctor import examine
from firstlight.installed import why_no_service
from firstlight.process import Service, StartError, run_module, until_signalled

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")
console = Console()
errors = Console(stderr=True)

Url = Annotated[str | None, typer.Option("--url", envvar="FIRSTLIGHT_URL", help="Address of the service.")]
Experiment = Annotated[str, typer.Argument(help="Experiment id, exp_…")]


@app.command()
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
            errors.print(f"[red]{error}")
            raise typer.Exit(1) from None
        if not started:
            service.stop()
            raise typer.Exit(0)
        print(f"ready {service.url}", flush=True)
        errors.print(f"dashboard {service.url}/  ·  OpenAPI page {service.url}/docs  ·  stop with Ctrl-C")
        code = _until_told(service, signals)
        service.stop()
    raise typer.Exit(code)


def _need_service(*, worker: bool = True) -> None:
    if problem := why_no_service(worker=worker):
        errors.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _until_told(service: Service, signals: list[int]) -> int:
    while not signals:
        if (ended := service.tend()) is not None:
            errors.print(f"[red]{ended}; see its lines above")
            return 1
        time.sleep(0.2)
    return 0


@app.command()
def demo(
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("report.html"),
) -> None:
    """Train the quickstart study in a temporary embedded service, compare, and write a self-contained report."""
    _need_service()
    raise typer.Exit(run_demo(report, console))


@app.command()
def submit(
    spec: Annotated[Path, typer.Argument(help="A YAML or JSON file; - reads standard input.")],
    url: Url = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="Follow it to its end and show the comparison.")] = False,
) -> None:
    """Submit an experiment; prints its id."""
    text = sys.stdin.read() if str(spec) == "-" else spec.read_text("utf-8")
    body = yaml.safe_load(text)
    with Client(url) as client:
        if dry_run:
            console.print_json(data=client.plan(body))
            return
        experiment = client.submit(body)
        for warning in experiment.get("warnings") or ():
            errors.print(f"[yellow]{warning}")
        print(experiment["id"])
        if watch_it:
            _watch(client, experiment["id"])


@app.command()
def watch(experiment: Experiment, url: Url = None) -> None:
    """Follow an experiment to its end, then show the comparison."""
    with Client(url) as client:
        _watch(client, experiment)


def _watch(client: Client, experiment: str) -> None:
    final = follow(client, client.experiment(experiment), console)
    if line := quote_line(final):
        console.print(line, highlight=False)
    if final["state"] != "cancelled":
        console.print(comparison_view(client.comparison(experiment)))
    if final["state"] != "succeeded":
        raise typer.Exit(1)


@app.command()
def compare(
    experiment: Experiment,
    url: Url = None,
    metric: str | None = None,
    at: Annotated[str, typer.Option(help="final, best or auc.")] = "final",
    confidence: float = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")] = False,
) -> None:
    """Which arm is better, by how much and how surely."""
    query: dict[str, Any] = {"at": at, "confidence": confidence, **({"metric": metric} if metric else {})}
    with Client(url) as client:
        answer = client.comparison(experiment, **query)
    console.print_json(data=answer) if as_json else console.print(comparison_view(answer))


@app.command()
def figure(
    experiment: Experiment,
    kind: Annotated[str, typer.Argument(help="curves, heatmap, … (`firstlight catalogue figures` lists them)")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; its suffix picks the form.")] = None,
    option: Annotated[list[str] | None, typer.Option("--set", help="A parameter of the figure, name=value.")] = None,
    url: Url = None,
) -> None:
    """Write a figure as PNG, SVG, PDF, HTML or Vega-Lite JSON."""
    path = out or Path(f"{kind}.png")
    query = dict(item.split("=", 1) for item in option or ())
    with Client(url) as client:
        path.write_bytes(client.figure(experiment, kind, path.suffix.lstrip(".") or "png", **query))
    print(path)


@app.command()
def export(
    experiment: Experiment,
    out: Annotated[Path, typer.Option("--out", "-o", help="metrics.csv, .parquet, .jsonl, .json, or report.html.")],
    url: Url = None,
) -> None:
    """Save every epoch row (CSV, Parquet, JSON Lines, JSON) or the report (HTML)."""
    accept = {
        ".csv": "text/csv",
        ".parquet": "application/vnd.apache.parquet",
        ".jsonl": "application/jsonl",
        ".json": "application/json",
    }
    with Client(url) as client:
        if out.suffix == ".html":
            out.write_bytes(client.report(experiment))
        elif out.suffix == ".json":
            out.write_text(json.dumps(list(client.metrics(experiment))), "utf-8")
        elif out.suffix in accept:
            out.write_bytes(client.download(f"/v1/experiments/{experiment}/metrics", accept=accept[out.suffix]))
        else:
            errors.print(f"[red]{out.suffix!r} is not a known form; use {', '.join(accept)} or .html")
            raise typer.Exit(2)
    print(out)


@app.command(name="list")
def list_experiments(url: Url = None, state: str | None = None, limit: int = 20) -> None:
    """The newest experiments."""
    with Client(url) as client:
        query = {"state": state} if state else {}
        experiments = [item for item, _ in zip(client.experiments(**query), range(limit), strict=False)]
    console.print(experiments_table(experiments))


@app.command()
def cancel(experiment: Experiment, url: Url = None) -> None:
    """Ask an experiment to stop."""
    with Client(url) as client:
        print(client.act(experiment, "cancel")["state"])


@app.command()
def presets(name: Annotated[str | None, typer.Argument()] = None, url: Url = None) -> None:
    """List the presets, or print one's spec as YAML, ready to submit."""
    with Client(url) as client:
        if name:
            print(yaml.safe_dump(client.catalogue("presets", name)["spec"], sort_keys=False), end="")
            return
        for preset in client.catalogue("presets")["items"]:
            console.print(f"[bold]{preset['name']}[/]  {preset['title']}")


@app.command()
def catalogue(family: str, kind: Annotated[str | None, typer.Argument()] = None, url: Url = None) -> None:
    """What there is: activations, initializers, optimizers, models, datasets, presets, figures."""
    with Client(url) as client:
        console.print_json(data=client.catalogue(family, kind))


HomeFolder = Annotated[
    Path | None, typer.Option("--home", help="Of the service; default: FIRSTLIGHT_HOME or ~/.firstlight.")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet, such as firstlight.zip.")],
    home: HomeFolder = None,
) -> None:
    """Write all that the service of this machine has stored into one file, while it runs."""
    _need_service(worker=False)
    raise typer.Exit(run_module("services.backup", "save", str(file.absolute()), home=home))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `firstlight backup` has written.")],
    home: HomeFolder = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there.")] = False,
) -> None:
    """Put a backup in place, while the service is stopped; refuses where there is something already."""
    _need_service(worker=False)
    options = ["--replace"] if replace else []
    raise typer.Exit(run_module("services.backup", "restore", str(file.absolute()), *options, home=home))


@app.command()
def doctor(url: Url = None) -> None:
    """Check the installation, the service and its parts; exits 1 when something is wrong."""
    raise typer.Exit(examine(url, console))


def main() -> None:
    """Entry point: errors become one clear message and an exit code, never a stack trace."""
    try:
        app()
    except FirstlightHTTPError as error:
        errors.print(f"[red]{error}", markup=True, highlight=False)
        sys.exit(1)
    except httpx.ConnectError as error:
        errors.print(f"[red]no service answers at {error.request.url}; start one with `firstlight up`")
        sys.exit(1)
    except (OSError, yaml.YAMLError) as error:
        errors.print(f"[red]{error}")
        sys.exit(1)
