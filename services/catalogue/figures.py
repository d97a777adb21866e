"""Figures as plain values: what each shows, its parameters and the forms it comes in."""

from typing import Any

from services.catalogue.families import find
from services.science.figures import FIGURES, Figure

Json = dict[str, Any]
FORMS = ("json", "svg", "png", "pdf", "html", "csv")


def figures() -> list[Json]:
    """Every kind of figure."""
    return [_figure(cls) for cls in FIGURES.values()]


def figure(kind: str) -> Json:
    """One kind of figure."""
    return _figure(find(FIGURES, kind, "figure"))


def _figure(cls: type[Figure]) -> Json:
    schema = cls.model_json_schema()
    properties = {name: value for name, value in schema.get("properties", {}).items() if name != "kind"}
    return {
        "kind": cls.model_fields["kind"].default,
        "title": cls.title,
        "description": cls.description,
        "parameters": {"type": "object", "properties": properties, "$defs": schema.get("$defs", {})},
        "references": list(cls.references),
        "forms": list(FORMS),
    }
