"""Who may speak to a service without keys: programs on this machine, and pages that the service itself has served.

A web page anywhere can make its reader's browser send requests to this machine. By a name that its owner points here
(DNS rebinding) it could even read the answers: so the `Host` has to be this machine's, or one that the operator allows.
And it can post without being allowed to read: so what changes anything must not come from another `Origin`.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple

from starlette.datastructures import Headers

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that change nothing here."""
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(:\d{1,5})?")
SETTING = "FIRSTLIGHT_ALLOWED_HOSTS"


class Refusal(NamedTuple):
    """What a request is refused with."""

    status: int
    detail: str


def refusal(method: str, headers: Headers, allowed: Collection[str]) -> Refusal | None:
    """Why a service without keys must not answer this request, if so.

    Args:
        method: of the request.
        headers: of the request. One without `Host` is served: every browser sends it.
        allowed: further host names, ``*.example.org`` for all below one.
    """
    hosts = headers.getlist("host")
    if len(hosts) > 1:
        return Refusal(400, "the Host field stands twice")
    host = hosts[0].strip().lower() if hosts else ""
    if hosts and not _served_as(host, allowed):
        return Refusal(421, f"this service is not served as {host[:100]!r}; if it should be, add the name to {SETTING}")
    if method in SAFE:
        return None
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "")
    if origin is not None:
        scheme, _, place = origin.strip().lower().partition("://")
        if scheme not in ("http", "https") or not (place == host or _named(place, allowed)):
            return Refusal(
                403, f"a page of {origin[:100]!r} must not change anything here; if it may, add its host to {SETTING}"
            )
    elif site not in ("", "same-origin", "none"):
        return Refusal(403, f"a {site[:20]!r} request of a browser must not change anything here")
    return None


def _served_as(host: str, allowed: Collection[str]) -> bool:
    parts = HOST.fullmatch(host)
    if parts is None:
        return False
    name = parts["name"].strip("[]").rstrip(".")
    if name == "localhost" or _named(host, allowed):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _named(place: str, allowed: Collection[str]) -> bool:
    """Whether a host, with or without a port, is one that the operator allows."""
    parts = HOST.fullmatch(place)
    if parts is None:
        return False
    name = parts["name"].strip("[]").rstrip(".")
    return any(name.endswith(entry[1:]) if entry.startswith("*.") else name == entry for entry in allowed)
