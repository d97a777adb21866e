"""Which key a request comes with: those of the settings, and those that are stored.

A stored key is looked up by its public id and remembered for half a second: a busy client costs two reads a second, and
a key that was revoked opens nothing half a second later, whichever process revoked it. Its last use is written beside
the requests, never within one.
"""

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from api.sparing_log import sparing
from services.accounts.keys import ID, KEY, USE_SECONDS, KeyFacts, any_key, key_facts, note_uses
from services.accounts.principal import OWNER, Principal
from services.db.base import now
from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE

FRESH_SECONDS = 0.5
NEVER = float("-inf")
MOST_REMEMBERED = 1_024
"""Keys; the one that was looked up the longest ago is forgotten."""
LOOKUPS = 4
"""At once: on threads of their own, so that a key is recognized while requests hold all others."""

Result = TypeVar("Result")


class Asker(NamedTuple):
    """Who a request comes from.

    Attributes:
        principal: None when the key is none of ours.
        closed: why a key of ours opens nothing any more; empty when it does.
    """

    principal: Principal | None
    closed: str = ""


class KeyRing:
    """The keys of one API process. Lives on the event loop's thread.

    Args:
        database: the service's own.
        configured: keys of the settings: admin in the default workspace, for as long as they are set.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, database: Database, configured: Sequence[SecretStr], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._digests = [hashlib.sha256(key.get_secret_value().encode()).digest() for key in configured]
        self._remembered: OrderedDict[str, tuple[float, KeyFacts]] = OrderedDict()
        self._stored = False
        self._looked = NEVER
        self._uses: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._limiter: CapacityLimiter | None = None

    @property
    def configured(self) -> bool:
        """Whether the settings name keys."""
        return bool(self._digests)

    @property
    def secured(self) -> bool:
        """Whether a key is asked for, as far as was seen last."""
        return self.configured or self._stored

    async def look(self) -> bool:
        """Whether a key is asked for, seen anew if that was a while ago. Once it is, it stays so.

        While the database does not answer, what was seen last counts: without it nothing of anybody's can be read.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it does not answer, and has never answered yet.
        """
        if not self.secured and self._clock() - self._looked >= FRESH_SECONDS:
            looked = self._clock()
            if self._looked > NEVER:
                self._looked = looked  # meanwhile others take what was seen last, and do not wait for the same
            try:
                stored = await self._on_a_thread(self._any_stored)
            except SQLAlchemyError as error:
                if self._looked == NEVER:
                    raise
                sparing.line("keys_not_looked_up", error=type(error).__name__)
            else:
                self._stored, self._looked = self._stored or stored, looked
        return self.secured

    async def asker(self, presented: bytes) -> Asker:
        """Whose key this is.

        Raises:
            sqlalchemy.exc.DBAPIError: the database does not answer.
        """
        if not await self.look():
            return Asker(OWNER)
        if self.is_configured(presented):
            return Asker(Principal(f"env_{hashlib.sha256(presented).hexdigest()[:12]}", "admin", DEFAULT_WORKSPACE))
        key = presented.decode("ascii", "replace")
        parts = KEY.fullmatch(key)
        facts = None if parts is None else await self._facts(parts["id"])
        if facts is None or not facts.opened_by(key):
            return Asker(None)
        if (closed := facts.closed()) is not None:
            return Asker(Principal(facts.id, None, facts.workspace), closed)
        self._uses[facts.id] = now()
        return Asker(Principal(facts.id, facts.scope, facts.workspace))

    async def still_opens(self, principal: Principal) -> bool:
        """Whether what was let in would be let in now: for answers that last."""
        if not ID.fullmatch(principal.key_id):  # one of the settings, or none: those of a process do not change
            return bool(principal.key_id) or not await self.look()
        facts = await self._facts(principal.key_id)
        return facts is not None and facts.closed() is None

    def is_configured(self, key: bytes) -> bool:
        """Whether this is a key of the settings."""
        digest = hashlib.sha256(key).digest()
        # Every key is compared, so that the time tells nothing about which one nearly matched.
        matches = [hmac.compare_digest(digest, configured) for configured in self._digests]
        return any(matches)

    def note_made(self) -> None:
        """A key was made here: from now on one is asked for. Called on any thread."""
        self._stored = True

    def forget(self, key_id: str) -> None:
        """Look this key up anew: it was changed here. Called on any thread."""
        self._remembered.pop(key_id, None)

    def write_uses(self) -> None:
        """Write when keys were used last, each at most once a minute. Takes a thread's time, not the event loop's."""
        uses, self._uses = self._uses, {}
        due = {
            key_id: moment
            for key_id, moment in list(uses.items())
            if key_id not in self._written or (moment - self._written[key_id]).total_seconds() >= USE_SECONDS
        }
        if not due:
            return
        with self._database.write() as session:
            note_uses(session, due)
        if len(self._written) > MOST_REMEMBERED:
            self._written.clear()  # the statement itself looks at what is stored
        self._written.update(due)

    async def _facts(self, key_id: str) -> KeyFacts | None:
        remembered = self._remembered.get(key_id)
        if remembered is not None and self._clock() - remembered[0] < FRESH_SECONDS:
            return remembered[1]
        looked = self._clock()
        facts = await self._on_a_thread(lambda: self._read(key_id))
        if facts is None:
            return None
        self._remembered.pop(key_id, None)
        self._remembered[key_id] = (looked, facts)
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return facts

    async def _on_a_thread(self, work: Callable[[], Result]) -> Result:
        self._limiter = self._limiter or CapacityLimiter(LOOKUPS)  # belongs to the event loop that is running
        return await to_thread.run_sync(work, limiter=self._limiter)

    def _read(self, key_id: str) -> KeyFacts | None:
        with self._database.read() as session:
            return key_facts(session, key_id)

    def _any_stored(self) -> bool:
        with self._database.read() as session:
            return any_key(session)
