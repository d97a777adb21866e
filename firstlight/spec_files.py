"""Specs as people write them: YAML or JSON in a file, and single fields as name=value."""

import copy
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from firstlight.endings import CommandError

MOST_CHARACTERS = 16_000_000
"""Of a spec: more than any service takes."""
EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$")


class SpecLoader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number: YAML 1.1 takes it for text without a decimal point."""


SpecLoader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read_spec(path: Path) -> dict[str, Any]:
    """The spec in a file; ``-`` is standard input.

    Raises:
        CommandError: the file cannot be read, is neither YAML nor JSON, or holds something else than fields.
    """
    name = "standard input" if str(path) == "-" else str(path)
    try:
        # utf-8-sig: some editors put a byte order mark before the first field.
        with nullcontext(sys.stdin) if str(path) == "-" else path.open(encoding="utf-8-sig") as stream:
            text = stream.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not text in UTF-8: a spec is YAML or JSON") from None
    if len(text) > MOST_CHARACTERS:
        raise CommandError(f"{name} is too large for a spec: at most {MOST_CHARACTERS} characters")
    spec = _loaded(text, name)
    if not isinstance(spec, dict):
        what = "nothing" if spec is None else f"a {type(spec).__name__}"
        raise CommandError(f"{name} holds {what}: a spec is a list of fields such as `dataset: digits`")
    return spec


def value_of(text: str, name: str) -> Any:
    """A value as YAML has it: a number, a text, true, null, [a, b] or {kind: …}."""
    return _loaded(text, name)


def assignments(items: Sequence[str] | None, option: str = "--set") -> dict[str, str]:
    """The pairs of an option that is given as name=value.

    Raises:
        CommandError: one is not of that form, or a name comes twice.
    """
    pairs: dict[str, str] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise CommandError(f"{option}: {item!r} is not name=value, such as {name or 'name'}=…")
        if name in pairs:
            raise CommandError(f"{option}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def changed_fields(spec: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """The top fields of a spec that change, each whole.

    Args:
        spec: as it is; it stays so.
        changes: values by their path, with dots between steps: ``epochs``, ``optimizer.learning_rate``,
            ``activation.0.kind``. ``null`` takes a top field out.

    Raises:
        CommandError: a path leads nowhere, or a value cannot be read.
    """
    fields: dict[str, Any] = {}
    for path, text in changes.items():
        top, *steps = path.split(".")
        value = value_of(text, f"--set {path}")
        if not steps:
            fields[top] = value
            continue
        whole = fields[top] if top in fields else copy.deepcopy(spec.get(top))
        fields[top] = whole
        here: Any = whole
        for place, step in enumerate(steps):
            here = _only_entry(here, step)
            key = _key(here, step, path, new=place == len(steps) - 1)
            if place == len(steps) - 1:
                here[key] = value
            else:
                here = here[key]
    return fields


def _only_entry(here: Any, step: str) -> Any:
    """An axis of one entry need not be counted into."""
    return here[0] if isinstance(here, list) and len(here) == 1 and not step.isdecimal() else here


def _key(here: Any, step: str, path: str, *, new: bool) -> str | int:
    if isinstance(here, dict) and (new or step in here):
        return step
    if isinstance(here, list) and step.isdecimal() and int(step) < len(here):
        return int(step)
    if isinstance(here, dict):
        legal = f"there are {', '.join(map(str, here)) or 'no fields'}"
    elif isinstance(here, list):
        legal = f"its entries are 0 to {len(here) - 1}"
    else:
        legal = f"there stands {json.dumps(here)[:80]}, which has no fields"
    raise CommandError(f"--set: {path!r} leads nowhere at {step!r}: {legal}")


def _loaded(text: str, name: str) -> Any:
    loader = None
    try:
        loader = SpecLoader(text)
        # Through JSON: a date becomes its text, and what JSON cannot say is refused here.
        return json.loads(json.dumps(loader.get_single_data(), default=str, allow_nan=False))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CommandError(f"{name}{where}: {error.problem or 'neither YAML nor JSON'}") from None
    except yaml.YAMLError as error:
        raise CommandError(f"{name}: {' '.join(str(error).split())}") from None
    except (ValueError, TypeError) as error:
        raise CommandError(f"{name}: {error}") from None
    except RecursionError:
        raise CommandError(f"{name}: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()
