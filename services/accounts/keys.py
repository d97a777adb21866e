"""Keys: made, listed, revoked, and recognized. A key is its public id and 256 random bits, of which SHA-256 is kept.

A slow hash is for what people think of; nobody finds 256 random bits by trying.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from services.accounts.principal import Principal
from services.accounts.workspaces import get_workspace
from services.db.base import new_id, now
from services.db.newest_first import Place, newest_first
from services.db.tables import DEFAULT_WORKSPACE, ApiKeyRow, Scope, WorkspaceRow
from services.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError

KEY = re.compile(r"(?P<id>key_[0-9a-f]{32})_(?P<secret>[A-Za-z0-9_-]{43})")
ID = re.compile(r"key_[0-9a-f]{32}")
MOST_KEYS = 1_000
"""Of one workspace, those that are revoked or have expired not counted."""
USE_SECONDS = 60
"""The time of a key's last use is not written more often."""


@dataclass(frozen=True)
class KeyFacts:
    """What is needed to recognize a key and to know what it may do."""

    id: str
    workspace: str
    scope: Scope
    secret_sha256: str
    expires_at: datetime | None
    revoked_at: datetime | None

    def opened_by(self, key: str) -> bool:
        """Whether this is the key; takes as long for one that nearly matches."""
        return hmac.compare_digest(_digest(key), self.secret_sha256)

    def closed(self) -> str | None:
        """Why the key opens nothing any more, if so."""
        if self.revoked_at is not None:
            return f"the key {self.id} was revoked"
        if self.expires_at is not None and self.expires_at <= now():
            return f"the key {self.id} expired at {self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return None


def create_key(
    session: Session, asked_by: Principal, name: str, scope: Scope, workspace: str, expires_at: datetime | None = None
) -> tuple[ApiKeyRow, str]:
    """Store a new key; returns its row, and the key itself, which is not to be had again.

    Raises:
        NotFoundError: no such workspace, or not the asker's.
        InvalidInputError: it would have expired already.
        ConflictError: the workspace has as many as allowed, or nobody could make another key after this one.
    """
    get_workspace(session, asked_by, workspace)
    if expires_at is not None and expires_at <= now():
        message = f"{expires_at:%Y-%m-%dT%H:%M:%SZ} has passed; give a time to come, or leave it out"
        raise InvalidInputError(f"/expires_at: {message}", [FieldProblem("/expires_at", message)])
    live = select(func.count()).select_from(ApiKeyRow).where(ApiKeyRow.workspace_id == workspace, _live())
    if (session.scalar(live) or 0) >= MOST_KEYS:
        raise ConflictError(f"the workspace has {MOST_KEYS} keys; revoke some first")
    if not asked_by.key_id and not (scope == "admin" and workspace == DEFAULT_WORKSPACE and expires_at is None):
        raise ConflictError(
            "with its first key the service is closed to everybody without one: that key must be of scope admin in the "
            "workspace default and not expire, so that it can make the others"
        )
    key_id = new_id("key")
    key = f"{key_id}_{secrets.token_urlsafe(32)}"
    row = ApiKeyRow(
        id=key_id,
        workspace_id=workspace,
        name=name,
        scope=scope,
        secret_sha256=_digest(key),
        created_by=asked_by.key_id or None,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, key


def get_key(session: Session, asked_by: Principal, key_id: str) -> ApiKeyRow:
    """Find a key.

    Raises:
        NotFoundError: no such key, or one of a workspace that is not the asker's.
    """
    row = session.get(ApiKeyRow, key_id) if ID.fullmatch(key_id) else None
    if row is None or not (asked_by.runs_the_service or row.workspace_id == asked_by.workspace):
        raise NotFoundError(f"there is no key {key_id[:60]!r}")
    return row


def list_keys(
    session: Session, asked_by: Principal, workspace: str | None, limit: int, after: Place | None = None
) -> tuple[list[ApiKeyRow], Place | None]:
    """One page of the keys of a workspace, the newest first; without one named, all that the asker may see.

    Returns:
        The rows, and the place of the last one when more follow.

    Raises:
        NotFoundError: no such workspace, or not the asker's.
    """
    query = select(ApiKeyRow)
    if workspace is not None:
        query = query.where(ApiKeyRow.workspace_id == get_workspace(session, asked_by, workspace).id)
    elif not asked_by.runs_the_service:
        query = query.where(ApiKeyRow.workspace_id == asked_by.workspace)
    return newest_first(session, query, ApiKeyRow, limit, after)


def revoke_key(session: Session, asked_by: Principal, key_id: str, *, others: bool) -> None:
    """Close a key for good. A second time is no error.

    Args:
        session: of a write transaction.
        asked_by: who asks.
        key_id: which.
        others: whether the service has admin keys besides those that are stored.

    Raises:
        NotFoundError: no such key, or not the asker's.
        ConflictError: it is the last that can make others.
    """
    row = get_key(session, asked_by, key_id)
    if row.revoked_at is not None:
        return
    # Two that revoke one another's key at once: the second waits here, and counts what the first has left.
    session.execute(select(WorkspaceRow).where(WorkspaceRow.id == DEFAULT_WORKSPACE).with_for_update())
    lasting = _lasting_admins(ApiKeyRow.id != key_id)
    if not others and row.scope == "admin" and row.workspace_id == DEFAULT_WORKSPACE and not session.scalar(lasting):
        raise ConflictError(
            f"{key_id} is the last key of scope admin in the workspace default that does not expire; make another first"
        )
    row.revoked_at = now()
    session.flush()


def key_facts(session: Session, key_id: str) -> KeyFacts | None:
    """What is stored of a key, whoever asks; None when there is no such key."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        return None
    return KeyFacts(row.id, row.workspace_id, row.scope, row.secret_sha256, row.expires_at, row.revoked_at)


def any_key(session: Session) -> bool:
    """Whether there is or was a key: then nobody is let in without one, also when all have been revoked."""
    return session.scalar(select(ApiKeyRow.id).limit(1)) is not None


def note_uses(session: Session, uses: Mapping[str, datetime]) -> None:
    """Write when keys were used, unless that was written lately."""
    for key_id, moment in sorted(uses.items()):
        lately = moment - timedelta(seconds=USE_SECONDS)
        session.execute(
            update(ApiKeyRow)
            .where(ApiKeyRow.id == key_id, or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < lately))
            .values(last_used_at=moment)
        )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _live() -> ColumnElement[bool]:
    return and_(ApiKeyRow.revoked_at.is_(None), or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now()))


def _lasting_admins(which: ColumnElement[bool]) -> Select[int]:
    """How many keys of those run the service for as long as they are not revoked."""
    return (
        select(func.count())
        .select_from(ApiKeyRow)
        .where(
            which,
            ApiKeyRow.scope == "admin",
            ApiKeyRow.workspace_id == DEFAULT_WORKSPACE,
            ApiKeyRow.revoked_at.is_(None),
            ApiKeyRow.expires_at.is_(None),
        )
    )
