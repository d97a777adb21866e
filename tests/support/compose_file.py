"""The compose files, read as compose reads them: variables filled in, files laid over each other."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """Fill in ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}``; ``$$`` is a dollar."""

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "$"
        if variables.get(name):
            return variables[name]
        if match["kind"] == "?":
            raise KeyError(f"{name}: {match['rest']}")
        return match["rest"] or ""

    return VARIABLE.sub(value, text)


def services(variables: Mapping[str, str], *names: str) -> dict[str, dict[str, Any]]:
    """The services of the files, default: of `docker-compose.yml`."""
    definitions: dict[str, dict[str, Any]] = {}
    for name in names or ("docker-compose.yml",):
        document = yaml.safe_load((ROOT / name).read_text())
        definitions |= {service: _filled(stated, variables) for service, stated in document["services"].items()}
    return definitions


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return substituted(value, variables)
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    return value
