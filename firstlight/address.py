"""The address of a service, as people write it."""

import os

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"


class AddressError(ValueError):
    """What was given is not the address of a service, or of anything in it; the message says what is."""


def base_url(text: str | None) -> str:
    """The address to send requests to, without a slash at its end.

    Args:
        text: such as ``https://host/path`` or ``localhost:8101``, which is taken as HTTP; None or nothing stands for
            ``FIRSTLIGHT_URL``, or this machine's own service.

    Raises:
        AddressError: it is none.
    """
    address = (text or os.environ.get("FIRSTLIGHT_URL") or DEFAULT_URL).strip()
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused(address, str(error)) from None
    if url.scheme not in ("http", "https"):
        raise _refused(address, f"{url.scheme}:// is not spoken here")
    if not url.host or any(character.isspace() for character in address):
        raise _refused(address, "it names no host")
    if url.port is not None and not 0 < url.port < 65_536:
        raise _refused(address, f"port {url.port} is not between 1 and 65535")
    if url.query or url.fragment:
        raise _refused(address, "it goes on behind the path")
    return str(url).rstrip("/")


def _refused(address: str, why: str) -> AddressError:
    return AddressError(f"url: {address!r} is not the address of a service ({why}); one looks like {DEFAULT_URL}")
