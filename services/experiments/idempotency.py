"""A repeated submission gets the first one's answer: one key, one body, one experiment."""

import hashlib
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from services.db.tables import IdempotencyRow
from services.errors import IdempotencyMismatchError

MAX_KEY = 200


def body_hash(body: Any) -> str:
    """SHA-256 of the body's content: the order of its fields and its white space do not count."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def stored_answer(session: Session, key: str, request_hash: str) -> dict[str, Any] | None:
    """What was answered to this key before, if anything.

    Raises:
        IdempotencyMismatchError: the key came with another body.
    """
    row = session.get(IdempotencyRow, key)
    if row is None:
        return None
    if row.request_hash != request_hash:
        raise IdempotencyMismatchError(
            "this Idempotency-Key was used before with another body; use a new key for a new experiment"
        )
    return row.response


def remember(session: Session, key: str, request_hash: str, experiment_id: str, response: dict[str, Any]) -> None:
    """Store the answer beside the experiment, in the same transaction.

    Raises:
        sqlalchemy.exc.IntegrityError: another request with this key was faster; roll back and read its answer.
    """
    session.add(IdempotencyRow(key=key, request_hash=request_hash, experiment_id=experiment_id, response=response))
    session.flush()


def forget(session: Session, before: datetime, limit: int) -> int:
    """Remove at most `limit` answers that were given before a moment; returns how many."""
    old = select(IdempotencyRow.key).where(IdempotencyRow.created_at < before).limit(limit)
    keys = list(session.scalars(old))
    if keys:
        session.execute(delete(IdempotencyRow).where(IdempotencyRow.key.in_(keys)))
    return len(keys)
