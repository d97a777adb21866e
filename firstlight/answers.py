"""Commands about what came out: comparisons, claims, figures, rows, reports."""

import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from firstlight.client import Client
from firstlight.display import interval, number, show_comparison
from firstlight.endings import CommandError
from firstlight.options import AsJson, Experiment, Url
from firstlight.output import Column, show_json, show_table
from firstlight.saving import save
from firstlight.spec_files import assignments

ROWS = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/jsonl",
    ".json": "application/json",
}
CLAIM_COLUMNS = (
    Column("verdict", whole=True),
    Column("claim"),
    Column("n", right=True),
    Column("difference", right=True),
    Column("interval", right=True),
    Column("p (Holm)", right=True),
    Column("in words", explains=True),
)
Confidence = Annotated[float, typer.Option(help="Of the intervals, 0.5 to 0.9999.")]


def compare(
    experiments: Annotated[list[str], typer.Argument(metavar="EXPERIMENT…", help="One experiment id, or several.")],
    url: Url = None,
    metric: Annotated[str | None, typer.Option(help="Such as val_loss or val_accuracy.")] = None,
    at: Annotated[str, typer.Option(help="final, best or auc.")] = "final",
    confidence: Confidence = 0.95,
    by: Annotated[list[str] | None, typer.Option(help="Average over every axis but these.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which arm is better, by how much and how surely; several experiments stand side by side.

    In a pipe a line for each arm (rank, arm, n, mean, interval, sd), then the verdict.
    """
    question: dict[str, Any] = {"at": at, "confidence": confidence}
    question |= {name: value for name, value in (("metric", metric), ("by", by)) if value}
    with Client(url) as client:
        several = len(experiments) > 1
        answer = client.compare(experiments, **question) if several else client.comparison(experiments[0], **question)
    show_json(answer) if as_json else show_comparison(answer)


def claims(experiment: Experiment, url: Url = None, confidence: Confidence = 0.95, as_json: AsJson = False) -> None:
    """What became of each hypothesis of the spec: upheld, refuted or undecided."""
    with Client(url) as client:
        answer = client.claims(experiment, confidence=confidence)
    if as_json:
        show_json(answer)
        return
    show_table(
        CLAIM_COLUMNS,
        (
            [
                claim["verdict"], claim["claim"], claim["n"], number(claim["difference"]["mean"]),
                interval(claim["difference"]["ci"]), number(claim["p_holm"]), claim["sentence"],
            ]
            for claim in answer["items"]
        ),
    )  # fmt: skip


def figure(
    experiment: Experiment,
    kind: Annotated[str, typer.Argument(help="curves, heatmap, … (`firstlight catalogue figures` lists them)")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; its suffix picks the form.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the figure, such as facet=activation."),
    ] = None,
    url: Url = None,
) -> None:
    """Write a figure as PNG, SVG, PDF, HTML, CSV or Vega-Lite JSON."""
    path = out or Path(f"{kind}.png")
    query = assignments(option)
    with Client(url) as client:
        save(path, client.figure(experiment, kind, path.suffix.lstrip(".") or "png", **query))
    print(path)


def export(
    experiment: Experiment,
    out: Annotated[Path, typer.Option("--out", "-o", help="metrics.csv, .parquet, .jsonl, .json, or report.html.")],
    url: Url = None,
) -> None:
    """Save every epoch row (CSV, Parquet, JSON Lines, JSON) or the report (HTML)."""
    if out.suffix not in (*ROWS, ".html"):
        raise CommandError(f"--out: {out.suffix!r} is not a known form; use {', '.join(ROWS)} or .html")
    with Client(url) as client:
        if out.suffix == ".html":
            content = client.report(experiment)
        elif out.suffix == ".json":
            content = json.dumps(list(client.metrics(experiment))).encode()
        else:
            content = client.rows(experiment, ROWS[out.suffix])
    save(out, content)
    print(out)


def open_page(
    experiment: Annotated[str | None, typer.Argument(help="Its report; without it the dashboard.")] = None,
    url: Url = None,
) -> None:
    """Print the address of the dashboard, or of an experiment's report, and open it where there is a browser."""
    with Client(url) as client:
        page = f"{client.url}{client.experiment(experiment)['links']['report']}" if experiment else f"{client.url}/"
    print(page, flush=True)
    if _has_browser():
        webbrowser.open(page)


def _has_browser() -> bool:
    """Whether somebody looks at a terminal beside which a browser's window can appear."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
