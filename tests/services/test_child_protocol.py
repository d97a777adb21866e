"""The page about the protocol has every message and field of the module, and what is read is checked by it."""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

import pytest
from pydantic import ValidationError
from typing_extensions import get_type_hints, is_typeddict

from services import child_protocol
from services.child_protocol import FromChild, ToChild, read_energy, read_epochs, read_started

PAGE = Path(__file__).resolve().parents[2] / "docs" / "child-protocol.md"
NAMES: dict[Any, str] = {int: "integer", float: "number", str: "text", Any: "anything", type(None): "null"}
EPOCHS: dict[str, Any] = {
    "type": "epochs",
    "from": 0,
    "to": 0,
    "epochs": [{"epoch": 0, "seconds": 0.1, "metrics": {"val_loss": [1.0, None]}}],
}


def title(declared: Any) -> str:
    """A message by its `type`, a part of messages by its name."""
    kind = get_type_hints(declared).get("type")
    return get_args(kind)[0] if kind is not None else declared.__name__


def spelled(declared: Any) -> str:
    """A type as the page names it."""
    origin, inner = get_origin(declared), get_args(declared)
    if origin is None:
        return NAMES.get(declared) or f"`{title(declared)}`"
    if origin is Annotated:
        (limits,) = (field.metadata for field in inner[1:])
        signs = {"Ge": "at least {ge}", "MaxLen": "at most {max_length} characters"}
        return f"{spelled(inner[0])}, " + ", ".join(signs[type(i).__name__].format_map(as_dict(i)) for i in limits)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin in (types.UnionType, Union):
        return " or ".join(spelled(choice) for choice in inner)
    one = spelled(inner[-1])
    if origin is list:
        return f"list of ({one})" if " or " in one else f"list of {one}"
    assert origin is dict, declared
    return "object" if inner[-1] is Any else f"object of {one}"


def as_dict(limit: Any) -> dict[str, Any]:
    return {name: getattr(limit, name) for name in limit.__slots__} if hasattr(limit, "__slots__") else vars(limit)


def rows(declared: Any) -> dict[str, tuple[str, str]]:
    """Type and necessity of every field but `type`."""
    hints = get_type_hints(declared, include_extras=True)
    table: dict[str, tuple[str, str]] = {}
    for name, hint in hints.items():
        if name != "type":
            bare = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
            table[name] = (spelled(bare), "yes" if name in declared.__required_keys__ else "no")
    return table


def declarations() -> dict[str, Any]:
    """Every message and every part of one."""
    typed = [value for value in vars(child_protocol).values() if is_typeddict(value) and value.__name__[0] != "_"]
    return {title(value): value for value in typed}


def sections() -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    for name, body in re.findall(r"^### `(\w+)`$(.*?)(?=^##|\Z)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL):
        lines = re.findall(r"^\| `(\w+)` \| (.*?) \| (yes|no) \|", body, flags=re.MULTILINE)
        yield name, {field: (kind, required) for field, kind, required in lines}


def test_the_page_has_every_message_field_type_and_necessity() -> None:
    assert dict(sections()) == {name: rows(declared) for name, declared in declarations().items()}


def test_the_page_says_who_says_what() -> None:
    page = PAGE.read_text()
    to_child, from_child, parts = (page.index(f"\n## {name}\n") for name in ("To the child", "From the child", "Parts"))
    places = {name: page.index(f"### `{name}`") for name in declarations()}
    assert {name for name, place in places.items() if to_child < place < from_child} == {
        title(message) for message in get_args(ToChild)
    }
    assert {name for name, place in places.items() if from_child < place < parts} == {
        title(message) for message in get_args(FromChild)
    }


def test_what_is_not_declared_is_left_out_and_what_may_lack_stays_out() -> None:
    assert read_epochs({**EPOCHS, "newer": 1}) == EPOCHS
    assert read_started({"type": "started", "device": "cpu", "dataset_digest": "f"}).get("engine") is None
    assert read_energy({"type": "stopped"}) is None
    assert read_energy({"energy": {"joules": 2, "method": "made up"}}) == {"joules": 2.0, "method": "made up"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": -1}, "from"),
        ({"epochs": None}, "epochs"),
        ({"epochs": [{"epoch": 0, "metrics": {}}]}, "seconds"),
        ({"diagnostics": [{"slot": 0}]}, "diagnostics"),
        ({"checkpoint": {"epoch": 0, "path": 3}}, "path"),
        ({"energy": {"joules": -1.0, "method": "made up"}}, "joules"),
        ({"energy": {"joules": 1.0, "method": "m" * 65}}, "method"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        read_epochs({**EPOCHS, **change})


@pytest.mark.parametrize("lacking", ["device", "dataset_digest"])
def test_a_start_that_lacks_something_is_named(lacking: str) -> None:
    message = {"type": "started", "device": "cpu", "dataset_digest": "f"}
    del message[lacking]
    with pytest.raises(ValidationError, match=lacking):
        read_started(message)
