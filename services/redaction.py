"""What may stand in a log line: nothing secret, and never more than a reader can take in."""

import contextlib
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from services.settings import Settings

MARK = "[redacted]"
LEAST_SECRET = 4
"""Shorter ones are left: hiding every "a" would hide the log."""
CLOUD = re.compile(r"(AWS|AZURE|GOOGLE)_.*(SECRET|TOKEN|SAS|ACCOUNT_KEY)")
"""Variables that hold a credential of a bucket, or name a file with one."""
MOST_TEXT = 2_000
"""Characters of one value."""
MOST_ITEMS = 60
"""Entries of one list or mapping."""
MOST_DEPTH = 6
MOST_SEARCHED = 65_536
"""Characters of one value that are searched for secrets; the rest is dropped unread."""

PATTERNS = (
    (re.compile(r"\b(key_[0-9a-f]{32})_[A-Za-z0-9_-]{20,}"), rf"\1_{MARK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {MARK}"),
    (re.compile(r"(://[^/\s:@]{0,200}:)[^/\s@]{1,500}@"), rf"\1{MARK}@"),
    (
        re.compile(
            r"(?i)\b(password|passwd|secret|access_token|api[-_]?key|authorization|cookie)(['\"]?\s*[=:]\s*['\"]?)"
            r"(?!(?:bearer|basic)\s)[^\s'\",;&]+"
        ),
        rf"\1\2{MARK}",
    ),
)
"""Secrets that are known by where they stand, whoever's they are."""


def secrets_of(settings: Settings) -> list[str]:
    """Every secret that these settings hold: keys, passwords, and passwords inside URLs."""
    values = [getattr(settings, name) for name in Settings.model_fields]
    secrets: set[str] = set()
    for value in values:
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, SecretStr):
                text = part.get_secret_value()
                secrets.update(_passwords(text) if "://" in text else (text,))
    return sorted(secrets | {quote(text, safe="") for text in secrets})


def cloud_secrets(environment: Mapping[str, str]) -> list[str]:
    """The credentials of a bucket, which are no settings of ours: their variables belong to the cloud."""
    secrets: list[str] = []
    for name, value in environment.items():
        if not CLOUD.match(name) or not value:
            continue
        if name.endswith("_FILE"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                secrets.append(Path(value).read_text("utf-8").strip())
        else:
            secrets.append(value)
    return secrets


def _passwords(url: str) -> Iterable[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return (url,)
    return (password, unquote(password)) if password else ()


class Redaction:
    """Takes secrets out of values and cuts the values to size."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        patterns = sorted((text for text in secrets if len(text) >= LEAST_SECRET), key=len, reverse=True)
        self._longest = max(map(len, patterns), default=0)
        self._known = re.compile("|".join(map(re.escape, patterns))) if patterns else None

    def text(self, value: str, most: int = MOST_TEXT) -> str:
        """The text without secrets, at most about `most` characters of it."""
        searched = value[:MOST_SEARCHED]
        if self._known is not None:
            searched = self._known.sub(MARK, searched)
        for pattern, replacement in PATTERNS:
            searched = pattern.sub(replacement, searched)
        if len(value) > MOST_SEARCHED:
            # What was cut off may be the rest of a secret that is then not known any more.
            searched = searched[: len(searched) - self._longest]
        half = most // 2
        return (
            searched if len(searched) <= most else f"{searched[:half]} … {len(value)} characters … {searched[-half:]}"
        )

    def value(self, value: Any, most: int = MOST_TEXT, items: int = MOST_ITEMS, depth: int = MOST_DEPTH) -> Any:
        """A plain copy of any value, made small: `most` characters of a text, `items` of a list, from both ends."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value, most)
        if depth == 0:
            return "…"
        if isinstance(value, Mapping):
            pairs = itertools.islice(value.items(), items)
            entries = {self.text(str(key), 200): self.value(item, most, items, depth - 1) for key, item in pairs}
            return entries if len(value) <= items else {**entries, "…": f"{len(value)} entries"}
        if isinstance(value, list | tuple):
            ends = value if len(value) <= items else [*value[: items // 2], *value[-(items // 2) :]]
            listed = [self.value(item, most, items, depth - 1) for item in ends]
            return listed if ends is value else [f"{len(value)} entries", *listed]
        return self.text(_shown(value), most)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's repr raises, the line is still written
        return f"<{type(value).__name__} without a repr: {type(error).__name__}>"
