"""Presets as plain values, in their own size or in another."""

from typing import Any

from pydantic import ValidationError

from services.catalogue.families import find
from services.errors import FieldProblem, InvalidInputError
from services.field_problems import field_problems
from services.science.presets import PRESETS, Preset
from services.science.presets.overrides import Resized, resize

Json = dict[str, Any]


def every() -> list[Json]:
    """Every preset as it is."""
    return [_entry(preset, Resized(spec=preset.spec, shrunk=[])) for preset in PRESETS.values()]


def one(name: str, **sizes: int | None) -> Json:
    """One preset; its spec can be posted as it is.

    Args:
        name: of the preset.
        sizes: `epochs`, `seeds`, `train_size`, `validation_size`; None leaves the preset's own.

    Raises:
        NotFoundError: no such preset.
        InvalidInputError: a size that the preset's data set does not have.
    """
    preset = find(PRESETS, name, "preset")
    try:
        return _entry(preset, resize(preset, **sizes))
    except ValidationError as error:
        broken = field_problems(error.errors(include_url=False), preset.spec)
        problems = [FieldProblem(_parameter(problem, sizes), problem.message) for problem in broken]
        raise InvalidInputError("; ".join(f"{p.pointer}: {p.message}" for p in problems), problems) from None


def _parameter(problem: FieldProblem, sizes: dict[str, int | None]) -> str:
    """The query parameter that a problem of the spec comes from."""
    changed = [name for name, value in sizes.items() if value is not None]
    words = f"{problem.pointer} {problem.message}"
    return next((name for name in changed if name in words), changed[0] if changed else problem.pointer)


def _entry(preset: Preset, resized: Resized) -> Json:
    return {
        "name": preset.name,
        "title": preset.title,
        "question": preset.question,
        "source": preset.source,
        "description": preset.description,
        "references": list(preset.references),
        "claims": [claim.model_dump(mode="json") for claim in preset.claims],
        "spec": resized.spec,
        "shrunk": resized.shrunk,
    }
