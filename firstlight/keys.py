"""``firstlight keys``: make, list and revoke the keys of a service."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from firstlight.client import Client

app = typer.Typer(no_args_is_help=True, help=__doc__)
console = Console()
errors = Console(stderr=True)

Url = Annotated[str | None, typer.Option("--url", envvar="FIRSTLIGHT_URL", help="Address of the service.")]
Workspace = Annotated[str | None, typer.Option(help="Id of a workspace; default: that of the key in use.")]
AsJson = Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[str, typer.Option(help="read, write or admin.")] = "write",
    workspace: Workspace = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=36_500, help="Expires after so many days.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; prints it, this once."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with Client(url) as client:
        made = client.create_key(name, scope, workspace=workspace, expires_at=expires)
    if as_json:
        console.print_json(data=made)
        return
    errors.print(f"{made['id']}: keep the key, it is not shown again", highlight=False)
    print(made["key"])


@app.command(name="list")
def list_keys(workspace: Workspace = None, url: Url = None, as_json: AsJson = False) -> None:
    """The keys, the newest first; never the keys themselves."""
    query = {"workspace": workspace} if workspace else {}
    with Client(url) as client:
        api_keys = list(client.api_keys(**query))
    if as_json:
        console.print_json(data=api_keys)
        return
    table = Table("id", "name", "scope", "workspace", "created", "last used", "state")
    for key in api_keys:
        cells = [key[name] for name in ("id", "name", "scope", "workspace")]
        table.add_row(*cells, _day(key["created_at"]), _day(key["last_used_at"]), _state(key))
    console.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id, key_…")], url: Url = None) -> None:
    """Close a key for good."""
    with Client(url) as client:
        client.revoke_key(key_id)
    print(key_id)


def _day(moment: str | None) -> str:
    return "never" if moment is None else moment[:16].replace("T", " ")


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    if key["expires_at"] is None:
        return "open"
    expired = datetime.fromisoformat(key["expires_at"]) <= datetime.now(UTC)
    return f"{'expired' if expired else 'open until'} {_day(key['expires_at'])}"
