"""One SQL function that both databases can answer: does a JSON list hold this text?"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from services.db.tables import ExperimentRow


class ListHolds(FunctionElement[bool]):
    """``ListHolds(column, text)``: true when the JSON list in `column` has the element `text`."""

    type = Boolean()
    inherit_cache = True
    name = "list_holds"


@compiles(ListHolds, "postgresql")
def _postgresql(element: ListHolds, compiler: SQLCompiler, **options: Any) -> str:
    column, text = element.clauses
    return f"jsonb_exists({compiler.process(column, **options)}, {compiler.process(text, **options)})"


@compiles(ListHolds, "sqlite")
def _sqlite(element: ListHolds, compiler: SQLCompiler, **options: Any) -> str:
    column, text = element.clauses
    listed, sought = compiler.process(column, **options), compiler.process(text, **options)
    return f"EXISTS (SELECT 1 FROM json_each({listed}) WHERE json_each.value = {sought})"  # noqa: S608 - bound above


def has_tag(tag: str) -> ColumnElement[bool]:
    """Experiments that carry `tag`."""
    return ListHolds(ExperimentRow.tags, literal(tag, String()))
