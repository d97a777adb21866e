"""Who is let in: the key, whose page asks, what the key may do, how much was asked before; what the audit log hears.

All of it is decided by the head of a request, before its body is read.
"""

import math
from base64 import b64decode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from api.audit_log import AuditLog
from api.failed_keys import FailedKeys, network
from api.key_ring import Asker, KeyRing
from api.problems import ProblemResponse, problem
from api.rate_limits import RateLimits
from api.same_site import refusal
from api.scopes import Matched, Need, ScopeTable
from api.sparing_log import sparing
from services.accounts.audit import Deed
from services.accounts.principal import ANYBODY, Principal
from services.db.base import now
from services.errors import FieldProblem

KEY_WANTED = "send one of the service's keys as `Authorization: Bearer KEY`"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="firstlight", Basic realm="firstlight"'}
READ_METHODS = ("GET", "HEAD")
MOST_PATH = 200
"""Characters of a path in the log."""
MOST_REFUSALS = 60
"""Lines in the audit log about refused requests, of one address within one of the windows for wrong keys."""


@dataclass
class Admission:
    """What the gate said of a request.

    Attributes:
        principal: who asks; nobody that is known until the gate has spoken.
        matched: the declared route, if there is one.
        refusal: the answer, if the request is not let in.
        headers: for whatever is answered.
        address: where it comes from.
        suspect: whether the request is refused for what it tried, which the audit log is to hear of.
    """

    principal: Principal = ANYBODY
    matched: Matched | None = None
    refusal: ProblemResponse | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    address: str = ""
    suspect: bool = False

    @property
    def key_id(self) -> str:
        """The public id of the key; empty when none was asked for, or none was known."""
        return self.principal.key_id

    @property
    def route(self) -> str:
        """Method and path of the declared route; empty where there is none."""
        return self.matched.route if self.matched else ""


class Gate:
    """Stands before every route of one process."""

    def __init__(
        self,
        keys: KeyRing,
        audit: AuditLog,
        limits: RateLimits,
        *,
        allowed_hosts: Collection[str] = (),
        wrong_key: Callable[[], None] = lambda: None,
    ) -> None:
        self.keys = keys
        self._audit = audit
        self._limits = limits
        self._allowed_hosts = allowed_hosts
        self._wrong_key = wrong_key
        self._table = ScopeTable()
        self._failed = FailedKeys()
        self._refused = FailedKeys(budget=MOST_REFUSALS)

    async def admit(self, scope: Scope, headers: Headers) -> Admission:
        """Decide about a request.

        Raises:
            sqlalchemy.exc.DBAPIError: the key cannot be looked up: the database does not answer.
        """
        method, path, request_id = scope["method"], scope["path"], scope["state"]["request_id"]
        address = str(scope["client"][0])[:64] if scope.get("client") else "unknown"
        admission = Admission(matched=self._table.match(method, path), address=address)
        if self._table.is_open(path):
            asker = Asker(ANYBODY)
        else:
            asker = await self.keys.asker(_key(headers, read_only=method in READ_METHODS))
        # A key is something that no page in a browser can send along; without keys, the place has to do.
        foreign = None if self.keys.secured else refusal(method, headers, self._allowed_hosts)
        admission.principal = asker.principal or ANYBODY
        if asker.principal is None or asker.closed:
            admission.suspect = "authorization" in headers
            admission.refusal = self._unauthorized(scope, headers, address, asker.closed)
            return admission
        if foreign is not None:
            sparing.line("foreign_page", status=foreign.status, detail=foreign.detail)
            code = "foreign_origin" if foreign.status == 403 else None
            title = "Another site must not do this" if foreign.status == 403 else None
            admission.refusal = ProblemResponse(
                problem(foreign.status, foreign.detail, request_id, code=code, title=title)
            )
            return admission
        need = admission.matched.need if admission.matched else None
        if need is None or need.limited:
            admission.refusal = self._too_many(admission, request_id)
        if admission.refusal is None and need is not None and not need.met_by(asker.principal):
            admission.suspect = True
            admission.refusal = _forbidden(need, asker.principal, request_id)
        return admission

    def note(self, admission: Admission, scope: Scope, status: int, location: str | None) -> None:
        """Have the audit log hear of an answer, if it is about a change or a refusal."""
        matched = admission.matched
        if admission.refusal is None:
            if matched is None or scope["method"] in READ_METHODS or matched.need.scope in (None, "read"):
                return
        elif not admission.suspect or self._refused.count(admission.address) is not None:
            return  # what many may do for nothing must not fill the log
        made = None if location is None else location.rsplit("/", 1)[-1]
        named = next(iter(matched.values.values()), None) if matched else None
        principal = admission.principal
        self._audit.note(
            Deed(
                at=now(),
                workspace_id=principal.workspace or None,
                key_id=principal.key_id or None,
                address=admission.address,
                method=str(scope["method"])[:8],
                operation=matched.route.split(" ")[1] if matched else "",
                object_id=_stored(made or named),
                status=status,
                request_id=scope["state"]["request_id"],
            )
        )

    def _too_many(self, admission: Admission, request_id: str) -> ProblemResponse | None:
        who = admission.key_id or network(admission.address)
        allowance = self._limits.count(who)
        admission.headers = allowance.headers
        if allowance.wait is None:
            return None
        sparing.line("rate_limited", who=who)
        detail = f"{who} has sent as many requests as are allowed; try again in {allowance.wait} s"
        document = problem(429, detail, request_id, code="too_many_requests", title="Too many requests")
        return ProblemResponse(document, {"Retry-After": str(allowance.wait)})

    def _unauthorized(self, scope: Scope, headers: Headers, client: str, reason: str) -> ProblemResponse:
        """No key: 401, so that a browser asks. A wrong one is noted too, and after many of them told to wait."""
        request_id = scope["state"]["request_id"]
        if "authorization" not in headers:
            return ProblemResponse(problem(401, KEY_WANTED, request_id), CHALLENGE)
        self._wrong_key()
        wait = self._failed.count(client)
        sparing.line(
            "wrong_key",
            client=client,
            method=scope["method"],
            path=scope["path"][:MOST_PATH],
            refused=wait is not None,
            **({"reason": reason} if reason else {}),
        )
        if wait is None:
            detail = f"{reason}: {KEY_WANTED}" if reason else KEY_WANTED
            return ProblemResponse(problem(401, detail, request_id), CHALLENGE)
        seconds = math.ceil(wait)
        detail = f"too many wrong keys from {client}: a right one is served, a wrong one has to wait {seconds} s"
        document = problem(429, detail, request_id, code="too_many_wrong_keys")
        return ProblemResponse(document, {"Retry-After": str(seconds)})


def _forbidden(need: Need, principal: Principal, request_id: str) -> ProblemResponse:
    """403 as RFC 6750 has it: which scope is needed, and which the key has."""
    had = f"the scope {principal.scope}{'' if principal.of_the_service else f' in the workspace {principal.workspace}'}"
    message = f"the key {principal.key_id} has {had}; this needs {need.in_words()}"
    document = problem(
        403,
        message,
        request_id,
        code="insufficient_scope",
        title="The key may not do this",
        fields=[FieldProblem("Authorization", message)],
    )
    challenge = f'Bearer realm="firstlight", error="insufficient_scope", scope="{need.scope}"'
    return ProblemResponse(document, {"WWW-Authenticate": challenge})


def _stored(name: str | None) -> str | None:
    """A name of a path as the audit log keeps it: text of any client, which PostgreSQL has to take."""
    return None if name is None else name.replace("\0", "")[:64]


def _key(headers: Headers, *, read_only: bool) -> bytes:
    """The bearer key; for reading also Basic with the key as password, so that a browser can open the dashboard.

    A browser sends Basic credentials along with requests that other sites make it send, hence for reading only.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic" and read_only:
        try:
            return b64decode(value.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""
