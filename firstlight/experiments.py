"""Commands about experiments: submit them, follow them, steer them."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from firstlight.client import Client
from firstlight.display import (
    ending_lines,
    failure_reasons,
    follow,
    percent,
    quote_line,
    show_comparison,
    status_lines,
)
from firstlight.endings import REFUSED, CommandError
from firstlight.options import AsJson, Experiment, Url
from firstlight.output import Column, console, errors, note, one_line, say, show_json, show_table
from firstlight.spec_files import assignments, changed_fields, read_spec

LIST_COLUMNS = (
    Column("id", whole=True),
    Column("name"),
    Column("state", whole=True),
    Column("data set", explains=True),
    Column("trials", right=True),
    Column("progress", right=True),
    Column("created", explains=True),
)


def submit(
    spec: Annotated[Path, typer.Argument(help="A YAML or JSON file; - reads standard input.")],
    url: Url = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    watch_it: Annotated[bool, typer.Option("--watch", help="Follow it to its end and show the comparison.")] = False,
) -> None:
    """Submit an experiment; prints its id."""
    body = read_spec(spec)
    with Client(url) as client:
        if dry_run:
            show_json(client.plan(body))
            return
        experiment = client.submit(body)
        _show_new(experiment)
        if watch_it:
            _watch(client, experiment["id"])


def watch(experiment: Experiment, url: Url = None, as_json: AsJson = False) -> None:
    """Follow an experiment to its end, then show how it ended and the comparison; exits 1 unless it succeeded."""
    with Client(url) as client:
        _watch(client, experiment, as_json=as_json)


def _watch(client: Client, experiment_id: str, *, as_json: bool = False) -> None:
    final = follow(client, client.experiment(experiment_id), errors)
    reasons = failure_reasons(client, final)
    has_results = final["trials"].get("succeeded") or final["trials"].get("diverged")
    comparison = client.comparison(experiment_id) if has_results else None
    if as_json:
        show_json({"experiment": final, "failure_reasons": dict(reasons.most_common()), "comparison": comparison})
    else:
        for line in ending_lines(final, reasons):
            say(line)
        if line := quote_line(final):
            say(line)
        if comparison is not None:
            show_comparison(comparison)
    if final["state"] != "succeeded":
        raise typer.Exit(REFUSED)


def status(experiment: Experiment, url: Url = None, as_json: AsJson = False) -> None:
    """How far an experiment is, why trials failed, and where to look further."""
    with Client(url) as client:
        answer = client.experiment(experiment)
        reasons = failure_reasons(client, answer)
    if as_json:
        show_json({**answer, "failure_reasons": dict(reasons.most_common())})
        return
    for line in status_lines(answer, reasons, client.url):
        say(line)


def list_experiments(
    url: Url = None,
    state: Annotated[str | None, typer.Option(help="queued, running, paused, succeeded, failed or cancelled.")] = None,
    tag: str | None = None,
    chosen: Annotated[
        str | None, typer.Option("--filter", help="An expression, such as \"state = 'failed' and dataset = 'digits'\".")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest experiments; in a pipe one line each: id, name, state, data set, trials, progress, created."""
    query = {name: value for name, value in (("state", state), ("tag", tag), ("filter", chosen)) if value}
    with Client(url) as client:
        every = client.experiments(**query, limit=min(limit, 1000))
        experiments = [item for item, _ in zip(every, range(limit), strict=False)]
    if as_json:
        show_json(experiments)
        return
    show_table(LIST_COLUMNS, map(_row, experiments))


def _row(item: dict[str, Any]) -> list[object]:
    progress = percent(item["progress"])
    created = item["created_at"][:16].replace("T", " ") if console.is_terminal else item["created_at"]
    return [
        item["id"], item["name"], item["state"], item["dataset"], item["trials"]["total"], progress, created,
    ]  # fmt: skip


def pause(experiment: Experiment, url: Url = None) -> None:
    """Set an experiment aside; what runs stops at its next checkpoint and loses nothing. Prints its state."""
    _act(experiment, "pause", url)


def resume(experiment: Experiment, url: Url = None) -> None:
    """Let a paused experiment go on. Prints its state."""
    _act(experiment, "resume", url)


def cancel(experiment: Experiment, url: Url = None) -> None:
    """Ask an experiment to stop for good. Prints its state."""
    _act(experiment, "cancel", url)


def retry(experiment: Experiment, url: Url = None) -> None:
    """Train the failed trials of an experiment again; every other result stands. Prints its state."""
    _act(experiment, "retry", url)


def _act(experiment: str, action: str, url: str | None) -> None:
    with Client(url) as client:
        print(one_line(client.act(experiment, action)["state"]))


def delete(
    experiment: Experiment,
    url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a final experiment with all its results; asks first. Prints its id."""
    with Client(url) as client:
        if not yes:
            _ask_to_delete(client.experiment(experiment))
        client.delete(experiment)
    print(one_line(experiment))


def _ask_to_delete(experiment: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise CommandError("delete: nobody is there to be asked; say --yes")
    name = f" ({one_line(experiment['name'])})" if experiment.get("name") else ""
    question = f"Delete {experiment['id']}{name} with the results of {experiment['trials']['total']} trials?"
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was deleted", REFUSED)


def clone(
    experiment: Experiment,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="A field of the copy: epochs=20, optimizer.learning_rate=0.1, activation='[relu, gelu]', name=null.",
        ),
    ] = None,
    url: Url = None,
    watch_it: Annotated[bool, typer.Option("--watch", help="Follow it to its end and show the comparison.")] = False,
) -> None:
    """Submit a copy of an experiment, with some fields changed; prints its id."""
    wishes = assignments(changes)
    with Client(url) as client:
        fields = changed_fields(client.experiment(experiment)["spec"], wishes) if wishes else {}
        copy = client.clone(experiment, fields)
        _show_new(copy)
        if watch_it:
            _watch(client, copy["id"])


def _show_new(experiment: dict[str, Any]) -> None:
    for warning in experiment.get("warnings") or ():
        note(warning, style="yellow")
    print(one_line(experiment["id"]), flush=True)
