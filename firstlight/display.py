"""What the command shows of an experiment: its bar, its state in words, how it ended, its arms."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from firstlight.client import FINAL, Client
from firstlight.output import Column, console, note, one_line, plain, say, show_table, table_of

MOST_FAILED = 5_000
"""Failed trials whose reasons are read."""
MOST_REASONS = 5
TRIAL_WORDS = {"succeeded": "finished"}
"""What a trial's state is called beside an experiment that has states of the same names."""
STATE_WORDS = {
    "queued": "queued: waits for a worker",
    "running": "running",
    "paused": "paused: `firstlight resume` lets it go on",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
ARM_COLUMNS = (
    Column("rank", right=True),
    Column("arm"),
    Column("n", right=True),
    Column("mean", right=True),
    Column("interval", right=True),
    Column("sd", right=True),
)


def follow(client: Client, experiment: Mapping[str, Any], bar: Console) -> dict[str, Any]:
    """Show a live bar until the experiment is final; return it. The bar ends where the work ended."""
    columns = (
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=bar) as progress:
        task = progress.add_task(
            f"{experiment['trials']['total']} trials",
            total=1.0,
            completed=experiment["progress"],
            note=experiment["state"],
        )
        if experiment["state"] in FINAL:
            return dict(experiment)
        for event in client.events(experiment["id"]):
            data = event["data"]
            if event["event"] == "progress":
                progress.update(task, completed=data["progress"], note=_note(data))
            elif event["event"] in ("state", "done"):
                progress.update(task, note=data["state"])
        final = client.experiment(experiment["id"])
        progress.update(task, completed=final["progress"], note=final["state"])
    return final


def _note(data: Mapping[str, Any]) -> str:
    counts = data.get("trials") or {}
    parts = [f"{counts['diverged']} diverged"] if counts.get("diverged") else []
    return ", ".join([*parts, *filter(None, [time_left(data.get("eta_seconds"))])])


def percent(share: float) -> str:
    """A share in whole per cent; what is not whole is never called 100 %, and what has begun never 0 %."""
    return "<1 %" if 0 < share < 0.01 else f"{int(100 * share + 1e-9)} %"


def time_left(seconds: float | None) -> str:
    """How long something still takes, in words; empty where nobody knows."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "nearly done"
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit} left"
    return f"about {seconds:.0f} s left"


def trials_in_words(experiment: Mapping[str, Any]) -> str:
    """How many trials stand where, such as ``12 trials: 3 finished, 1 diverged, 8 running``."""
    counts: Mapping[str, int] = experiment["trials"]
    order = ("succeeded", "diverged", "failed", "cancelled", "running", "paused", "queued")
    parts = [f"{counts[state]} {TRIAL_WORDS.get(state, state)}" for state in order if counts.get(state)]
    return f"{counts['total']} trials: {', '.join(parts)}"


def failure_reasons(client: Client, experiment: Mapping[str, Any]) -> Counter[str]:
    """Why trials failed, and how many for each reason; reads the first `MOST_FAILED`."""
    if not experiment["trials"].get("failed"):
        return Counter()
    failed = islice(client.trials(experiment["id"], state="failed"), MOST_FAILED)
    errors = (trial.get("error") or {} for trial in failed)
    return Counter(one_line(error.get("detail") or error.get("code") or "no reason is stored") for error in errors)


def reason_lines(experiment: Mapping[str, Any], reasons: Counter[str]) -> Iterator[str]:
    """The reasons of failures, the most frequent first."""
    error = experiment.get("error") or {}
    detail = one_line(error.get("detail") or error.get("code") or "")
    if detail and detail not in reasons:
        yield f"  {detail}"
    for reason, count in reasons.most_common(MOST_REASONS):
        yield f"  {count} × {reason}"
    if len(reasons) > MOST_REASONS:
        yield f"  and {len(reasons) - MOST_REASONS} other reasons"


def ending_lines(experiment: Mapping[str, Any], reasons: Counter[str]) -> Iterator[str]:
    """How a final experiment ended, and why where it failed."""
    share = "" if experiment["state"] == "succeeded" else f" with {percent(experiment['progress'])} of its epochs done"
    yield f"{experiment['state']}{share}; {trials_in_words(experiment)}"
    yield from reason_lines(experiment, reasons)


def status_lines(experiment: Mapping[str, Any], reasons: Counter[str], url: str) -> Iterator[str]:
    """An experiment's state, progress, failures, and where to look further."""
    name = f"  {one_line(experiment['name'])}" if experiment.get("name") else ""
    yield f"{experiment['id']}{name}"
    desired = experiment.get("desired")
    wish = (
        f", asked to {desired}"
        if desired in ("pause", "cancel") and experiment["state"] in ("queued", "running")
        else ""
    )
    left = time_left(experiment.get("eta_seconds")) if experiment["state"] == "running" else ""
    share = f"{percent(experiment['progress'])} of its epochs done"
    yield "; ".join(filter(None, [STATE_WORDS.get(experiment["state"], experiment["state"]) + wish, share, left]))
    yield trials_in_words(experiment)
    yield from reason_lines(experiment, reasons)
    if line := quote_line(experiment):
        yield line
    for warning in experiment.get("warnings") or ():
        yield f"warning: {one_line(warning)}"
    done = experiment["trials"].get("succeeded") or experiment["trials"].get("diverged")
    commands = ["compare", "claims"] if done and (experiment["spec"].get("hypotheses")) else ["compare"] if done else []
    commands += {"failed": ["retry"], "paused": ["resume"], "running": ["watch"], "queued": ["watch"]}.get(
        experiment["state"], []
    )
    for word in commands:
        yield f"next: firstlight {word} {experiment['id']}"
    yield f"report: {url}{experiment['links']['report']}"


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


def show_comparison(comparison: Mapping[str, Any]) -> None:
    """The arms in ranking order, and the verdict as the last line."""
    if console.is_terminal:
        console.print(comparison_view(comparison))
        return
    show_table(ARM_COLUMNS, _arm_rows(comparison))
    say(one_line(comparison["verdict"]))
    for warning in comparison.get("warnings") or ():
        note(one_line(f"note: {warning}"))


def comparison_view(comparison: Mapping[str, Any]) -> Group:
    """The comparison as a table in ranking order, with the verdict under it, and what makes it less than it seems."""
    level = f"{round(100 * comparison.get('confidence', 0.95))} % interval"
    columns = [Column(level, right=True) if column.name == "interval" else column for column in ARM_COLUMNS]
    title = f"{comparison['metric']} ({comparison.get('at', 'final')}), {comparison['direction']} is better"
    table = table_of(columns, _arm_rows(comparison), title=title)
    warnings = [Text(plain(f"note: {warning}")) for warning in comparison.get("warnings") or ()]
    return Group(table, Text(plain(comparison["verdict"]), style="bold"), *warnings)


def _arm_rows(comparison: Mapping[str, Any]) -> Iterator[list[str]]:
    arms = {arm["label"]: arm for arm in comparison["arms"]}
    for place in comparison["ranking"]:
        arm = arms[place["label"]]
        diverged = f" ({arm['diverged']} diverged)" if arm["diverged"] else ""
        yield [
            str(place["rank"]),
            one_line(arm["label"]),
            f"{arm['n']}{diverged}",
            number(arm["mean"]),
            interval(arm["ci"]),
            number(arm["std"]),
        ]


def number(value: float | None) -> str:
    """Four significant digits; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"


def interval(ci: Mapping[str, Any] | None) -> str:
    """An interval as ``[low, high]``."""
    return "–" if not ci or ci["low"] is None else f"[{ci['low']:.4g}, {ci['high']:.4g}]"
