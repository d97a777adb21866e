"""A key on the wire: its secret stands in the answer that makes it, and nowhere else."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints

from api.documentation import EXAMPLE_KEY_ID
from services.accounts.keys import ID
from services.db.tables import DEFAULT_WORKSPACE, ApiKeyRow, Scope
from services.instants import instant
from services.plain_text import wrong_character
from services.science.base import Strict

EXAMPLE: dict[str, JsonValue] = {"name": "lecture hall", "scope": "write", "expires_at": "2099-01-31T12:00:00Z"}


def _plain(text: str) -> str:
    if why := wrong_character(text):
        raise ValueError(why)
    return text


def _moment(value: Any) -> Any:
    return instant(value) if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), AfterValidator(_plain)]
"""What people call it: one line of plain text."""
WorkspaceId = Annotated[str, StringConstraints(pattern=r"^(default|wsp_[0-9a-f]{32})$")]


class KeyRequest(Strict):
    """What a new key is to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Name = Field(description="For people, who will one day ask what the key is for.")
    scope: Scope = Field(description="What it may do: read, also write, or also make keys.")
    workspace: WorkspaceId | None = Field(None, description="Which it opens; default: that of the key that asks.")
    expires_at: Annotated[datetime, BeforeValidator(_moment)] | None = Field(
        None, description="From then on it opens nothing; null: until it is revoked."
    )


class Key(BaseModel):
    """What there is to know of a key, but for the key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_KEY_ID,
                    "name": "lecture hall",
                    "scope": "write",
                    "workspace": DEFAULT_WORKSPACE,
                    "created_by": None,
                    "created_at": "2026-01-31T12:00:00Z",
                    "expires_at": None,
                    "revoked_at": None,
                    "last_used_at": None,
                }
            ]
        }
    )

    id: str = Field(pattern=f"^{ID.pattern}$", description="Public: it stands in the log and in the audit log.")
    name: str
    scope: Scope
    workspace: str
    created_by: str | None = Field(description="The key that made it; null: none was asked for.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")

    @classmethod
    def of(cls, row: ApiKeyRow) -> "Key":
        """The stored row as it is shown."""
        return cls.model_validate(_facts(row))


class NewKey(Key):
    """A key with what has to be kept of it now."""

    key: str = Field(description="The key itself: shown this once.")

    @classmethod
    def made(cls, row: ApiKeyRow, key: str) -> "NewKey":
        """The stored row, with the key."""
        return cls.model_validate({**_facts(row), "key": key})


def _facts(row: ApiKeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "scope": row.scope,
        "workspace": row.workspace_id,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
    }
