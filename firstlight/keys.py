"""``firstlight keys``: make, list and revoke the keys of a service."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from firstlight.client import Client
from firstlight.options import AsJson, Url
from firstlight.output import Column, note, one_line, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of a service.")
COLUMNS = (
    Column("id", whole=True),
    Column("name"),
    Column("scope", whole=True),
    Column("workspace", explains=True),
    Column("created", explains=True),
    Column("last used", explains=True),
    Column("state"),
)
Workspace = Annotated[str | None, typer.Option(help="Id of a workspace; default: that of the key in use.")]


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
        show_json(made)
        return
    note(f"{made['id']}: keep the key, it is not shown again")
    print(one_line(made["key"]))


@app.command(name="list")
def list_keys(workspace: Workspace = None, url: Url = None, as_json: AsJson = False) -> None:
    """The keys, the newest first; never the keys themselves. In a pipe a line for each, with tabs between values."""
    query = {"workspace": workspace} if workspace else {}
    with Client(url) as client:
        api_keys = list(client.api_keys(**query))
    if as_json:
        show_json(api_keys)
        return
    names = ("id", "name", "scope", "workspace")
    show_table(
        COLUMNS,
        (
            [*(key[name] for name in names), _day(key["created_at"]), _day(key["last_used_at"]), _state(key)]
            for key in api_keys
        ),
    )


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
