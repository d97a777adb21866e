"""From Pydantic's errors to field problems: a JSON pointer into the body as posted, and a sentence with the way out."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from services.errors import FieldProblem
from services.science.nearest import nearest
from services.science.spec import ExperimentSpec

SHOWN = 80
"""Longest part of a posted value that a message repeats."""
MOST_PROBLEMS = 20
"""Places that an answer names; of the others it says how many there are."""


def field_problems(
    errors: Sequence[ErrorDetails], body: Any, model: type[BaseModel] = ExperimentSpec
) -> tuple[FieldProblem, ...]:
    """Translate validation errors.

    Args:
        errors: `ValidationError.errors()`; their `loc` starts at the body.
        body: what was posted.
        model: the class the body was validated as; names the legal fields.

    Returns:
        One problem for each distinct place and message, in the order found: the first `MOST_PROBLEMS`, then one that
        says how many were left out.
    """
    problems: list[FieldProblem] = []
    for error in errors[:MOST_PROBLEMS]:
        message = _message(error, model)
        problems.append(FieldProblem(pointer(error, body) or _named_field(message, model), message))
    return (*dict.fromkeys(problems), *left_out(len(errors) - MOST_PROBLEMS))


def left_out(count: int) -> tuple[FieldProblem, ...]:
    """What stands for so many problems that are not listed; nothing for none."""
    return (FieldProblem("", f"and {count} more that are not listed"),) if count > 0 else ()


def pointer(error: ErrorDetails, body: Any) -> str:
    """The RFC 6901 pointer to an error's place in the posted body.

    Pydantic's path runs through the validated form: it names union members, and counts into axes that were posted as
    a single value. Those steps are left out.
    """
    steps = list(error["loc"])
    if steps and steps[0] == "rounds" and isinstance(body, Mapping) and isinstance(body.get("seeds"), Mapping):
        steps[0] = "seeds"
    if steps and steps[0] == "optimizer" and len(steps) > 1 and isinstance(steps[1], int) and isinstance(body, Mapping):
        steps[1] = _posted_index(body.get("optimizer"), steps[1])
    path: list[str] = []
    here: Any = body
    for number, step in enumerate(steps):
        if _holds(here, step):
            here = here[step]
        elif number + 1 == len(steps) and isinstance(here, Mapping) and error["type"] == "missing":
            here = None
        else:
            continue
        path.append(str(step))
    value = error.get("input")
    if isinstance(here, list) and not isinstance(value, list | tuple | Mapping) and value in here:
        path.append(str(here.index(value)))
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _holds(here: Any, step: int | str) -> bool:
    if isinstance(here, list):
        return isinstance(step, int) and step < len(here)
    return isinstance(here, Mapping) and step in here


def _posted_index(posted: Any, expanded: int) -> int:
    """Which posted optimizer the expanded one came from: lists inside an optimizer multiply it."""
    entries = posted if isinstance(posted, list) else [posted]
    for index, entry in enumerate(entries):
        fields = entry.values() if isinstance(entry, Mapping) else ()
        expanded -= math.prod(len(item) for item in fields if isinstance(item, list))
        if expanded < 0:
            return index
    return 0


def _message(error: ErrorDetails, model: type[BaseModel]) -> str:  # noqa: PLR0911 - one answer for each kind
    context: dict[str, Any] = dict(error.get("ctx") or {})
    match error["type"]:
        case "extra_forbidden":
            return _choice("field", str(error["loc"][-1]), _legal_fields(model, error["loc"][:-1]))
        case "union_tag_invalid":
            return _choice("name", str(context["tag"]), _quoted(context["expected_tags"]))
        case "literal_error" if isinstance(error.get("input"), str):
            return _choice("value", error["input"], _quoted(context["expected"]))
        case "union_tag_not_found":
            names = _names(_classes_at(model, error["loc"]))
            tag = str(context["discriminator"]).strip("'").removesuffix("()")  # a function is named as one
            return f"needs a {tag} that says which is meant: {', '.join(names)}"
        case "missing":
            return "is missing and has no default"
        case "model_attributes_type" | "model_type":
            return _not_an_object(error.get("input"), _classes_at(model, error["loc"]))
        case "value_error":
            return str(context.get("error", error["msg"]))
        case _:
            text = re.sub(r"^(Input|String|List|Tuple) should", "should", error["msg"]).replace(
                "a valid tuple", "a list"
            )
            return (
                text if isinstance(error.get("input"), Mapping | list) else f"{text}, not {_shown(error.get('input'))}"
            )


def _named_field(message: str, model: type[BaseModel]) -> str:
    """A rule over several fields speaks of the whole body; its sentence names the field to change first."""
    words = re.findall(r"`(\w+)`", message) + message.split()[:1]
    return next((f"/{word}" for word in words if word in model.model_fields), "")


def _not_an_object(value: Any, classes: Sequence[type[BaseModel]]) -> str:
    if names := _names(classes):
        return f"must be a name or an object, not {_shown(value)}; names: {', '.join(names)}"
    fields = dict.fromkeys(name for member in classes for name in member.model_fields)
    return f"must be an object, not {_shown(value)}; its fields: {', '.join(fields)}"


def _choice(what: str, name: str, legal: Sequence[str]) -> str:
    close = nearest(name, legal)
    hint = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {_shown(name)}; {hint}legal: {', '.join(legal)}"


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _quoted(listed: str) -> list[str]:
    return re.findall(r"'([^']*)'", listed)


def _legal_fields(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """The fields of the classes that may stand at `path`."""
    return list(dict.fromkeys(name for member in _classes_at(model, path) for name in member.model_fields))


def _classes_at(model: type[BaseModel], path: Sequence[int | str]) -> list[type[BaseModel]]:
    """The classes that may stand at `path`: follow fields and union tags from `model`."""
    candidates: list[type[BaseModel]] = [model]
    for step in path:
        tagged = [c for c in candidates if step in _tags(c)]
        if tagged:
            candidates = tagged
        elif isinstance(step, str):
            fields = [c.model_fields[step].annotation for c in candidates if step in c.model_fields]
            candidates = [model_class for annotation in fields for model_class in _classes(annotation)] or candidates
    return candidates


def _names(classes: Sequence[type[BaseModel]]) -> list[str]:
    return [tag for member in classes for tag in _tags(member) if isinstance(tag, str)]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    return tuple(
        tag
        for name in ("kind", "name")
        if name in model.model_fields
        for tag in get_args(model.model_fields[name].annotation)
    )


def _classes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model_class for part in get_args(annotation) for model_class in _classes(part)]
