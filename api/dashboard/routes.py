"""One small page: the experiments, their states, and where to read on. No script, no file from elsewhere."""

from collections.abc import Sequence
from html import escape

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from api.state import ContextDep
from services.experiments import store
from services.experiments.population import Population, population
from services.experiments.store import Listing
from services.experiments.views import ExperimentView, views
from services.states import FINAL

router = APIRouter(include_in_schema=False)

SHOWN = 100
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
.wide { overflow-x: auto; } td.number, th.number { text-align: right; } td.nowrap { white-space: nowrap; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .4rem .6rem; }
th, td { border-bottom: 1px solid var(--line); } td.number { font-variant-numeric: tabular-nums; }
tr:hover { background: var(--soft); } .state { white-space: nowrap; } progress { width: 6rem; vertical-align: middle; }
"""
HEADINGS = "".join(
    f"<th scope='col'{sort}>{name}</th>"
    for name, sort in (
        *((name, "") for name in ("experiment", "data", "state", "progress")),
        ("trials", " class='number'"),
        *((name, "") for name in ("created", "read")),
    )
)


@router.get("/", response_class=HTMLResponse)
def dashboard(context: ContextDep) -> HTMLResponse:
    """The newest experiments; the page reads itself again while something is running."""
    with context.database.read() as session:
        rows, _ = store.page(session, Listing(), SHOWN)
        experiments, counts = views(session, rows), population(session)
    return HTMLResponse(_page(experiments, counts), headers={"Content-Security-Policy": POLICY})


def _page(experiments: Sequence[ExperimentView], counts: Population) -> str:
    busy = any(item.state in ("queued", "running") for item in experiments)
    refresh = '<meta http-equiv="refresh" content="3">' if busy else ""
    workers = f"{_counted(counts.workers, 'worker')} alive, {_counted(counts.slots, 'slot')}"
    body = "".join(_row(item) for item in experiments)
    empty = (
        ""
        if experiments
        else "<p>No experiment yet. Post a spec to <code>/v1/experiments</code>, or run the quickstart.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}<title>Firstlight</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>Firstlight</h1><p>{workers}. <a href='/docs'>HTTP interface</a>, "
        "<a href='/v1/presets'>presets</a>, <a href='/readyz'>readiness</a>, <a href='/metrics'>measurements</a>.</p>"
        f"{empty}<div class='wide' tabindex='0' role='region' aria-label='Experiments'><table>"
        f"<caption hidden>Experiments, newest first</caption><thead><tr>{HEADINGS}</tr></thead>"
        f"<tbody>{body}</tbody></table></div></body></html>"
    )


def _row(item: ExperimentView) -> str:
    base = f"/v1/experiments/{escape(item.id)}"
    name = escape(item.name or item.id)
    diverged = f", {item.trials.diverged} diverged" if item.trials.diverged else ""
    left = f" {item.eta_seconds:.0f} s left" if item.state == "running" and item.eta_seconds is not None else ""
    # Before a trial has a result both would answer that it is too early.
    ready = item.state in FINAL or item.trials.succeeded + item.trials.diverged > 0
    answers = f"<a href='{base}/report.html'>report</a> <a href='{base}/comparison'>comparison</a>"
    read = answers if ready else "not yet"
    return (
        f"<tr><td><a href='{base}'>{name}</a></td><td>{escape(item.dataset)}</td>"
        f"<td class='state'>{escape(item.state)}</td>"
        f"<td><progress aria-label='progress' max='1' value='{item.progress:.3f}'></progress> "
        f"{item.progress:.0%}{left}</td><td class='number'>{item.trials.total}{diverged}</td>"
        f"<td class='nowrap'>{item.created_at:%Y-%m-%d %H:%M} UTC</td>"
        f"<td>{read}</td></tr>"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
