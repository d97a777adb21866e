"""What the command line shows: a progress bar while an experiment runs, and the comparison as a table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from firstlight.client import Client


def follow(client: Client, experiment: Mapping[str, Any], console: Console) -> dict[str, Any]:
    """Show a live bar until the experiment is final; return it."""
    counts = experiment["trials"]
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{counts['total']} trials", total=1.0, note=experiment["state"])
        for event in client.events(experiment["id"]):
            data = event["data"]
            if event["event"] == "progress":
                progress.update(task, completed=data["progress"], note=_note(data))
            elif event["event"] == "state":
                progress.update(task, note=data["state"])
            elif event["event"] == "done":
                progress.update(
                    task,
                    completed=1.0 if data["state"] == "succeeded" else progress.tasks[0].completed,
                    note=data["state"],
                )
    return client.experiment(experiment["id"])


def _note(data: Mapping[str, Any]) -> str:
    eta = data.get("eta_seconds")
    counts = data.get("trials") or {}
    parts = [f"{counts['diverged']} diverged"] if counts.get("diverged") else []
    parts.append("" if eta is None else f"about {eta:.0f} s left" if eta >= 1 else "nearly done")
    return ", ".join(part for part in parts if part)


def quote_line(experiment: Mapping[str, Any]) -> str | None:
    """What the experiment took beside what was quoted at its submission; None where one of them is not known."""
    quote = experiment.get("quote") or {}
    seconds, actual = quote.get("seconds"), quote.get("actual_seconds")
    if seconds is None or actual is None:
        return None
    return (
        f"took {actual:.1f} s; quoted were {seconds['expected']:.1f} s "
        f"({seconds['low']:.1f} to {seconds['high']:.1f}), from {seconds['basis']}"
    )


def comparison_view(comparison: Mapping[str, Any]) -> Group:
    """The comparison as a table in ranking order, with the verdict under it, and what makes it less than it seems."""
    confidence = round(100 * comparison.get("confidence", 0.95))
    table = Table(
        title=f"{comparison['metric']} ({comparison.get('at', 'final')}), {comparison['direction']} is better"
    )
    for name, right in (
        ("rank", True),
        ("arm", False),
        ("n", True),
        ("mean", True),
        (f"{confidence} % interval", True),
        ("sd", True),
    ):
        table.add_column(name, justify="right" if right else "left")
    arms = {arm["label"]: arm for arm in comparison["arms"]}
    for place in comparison["ranking"]:
        arm = arms[place["label"]]
        diverged = f" ({arm['diverged']} diverged)" if arm["diverged"] else ""
        table.add_row(
            str(place["rank"]),
            arm["label"],
            f"{arm['n']}{diverged}",
            number(arm["mean"]),
            interval(arm["ci"]),
            number(arm["std"]),
        )
    warnings = [Text(f"note: {warning}") for warning in comparison.get("warnings") or ()]
    return Group(table, Text(comparison["verdict"], style="bold"), *warnings)


def experiments_table(experiments: list[dict[str, Any]]) -> Table:
    """A list of experiments, newest first."""
    table = Table("id", "name", "state", "data set", "trials", "progress", "created")
    for item in experiments:
        table.add_row(
            item["id"],
            item["name"] or "",
            item["state"],
            item["spec"]["dataset"]["name"],
            str(item["trials"]["total"]),
            f"{100 * item['progress']:.0f} %",
            item["created_at"][:19].replace("T", " "),
        )
    return table


def number(value: float | None) -> str:
    """Four significant digits; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"


def interval(ci: Mapping[str, Any] | None) -> str:
    """An interval as ``[low, high]``."""
    return "–" if not ci or ci["low"] is None else f"[{ci['low']:.4g}, {ci['high']:.4g}]"
