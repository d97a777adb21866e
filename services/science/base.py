"""What every catalogue member is: one small frozen class with a `kind`, bounded parameters and its sources."""

import re
from collections.abc import Collection
from typing import Any, ClassVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

OPAQUE = ("metadata", "serialization", "default", "expected", "function", "config", "json_schema_input_schema")
"""Parts of a core schema that hold values, or say nothing of what is accepted."""


def _strict(schema: Any) -> Any:
    """The core schema with every scalar in it strict."""
    if isinstance(schema, list | tuple):
        return type(schema)(_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("float", "bool"):
        return {**schema, "strict": True}
    if schema.get("type") == "int":
        return core_schema.with_info_before_validator_function(whole_number, cast("CoreSchema", schema))
    if schema.get("type") == "function-before" and schema["function"]["function"] is whole_number:
        return schema
    return {key: part if key in OPAQUE else _strict(part) for key, part in schema.items()}


def whole_number(value: Any, info: ValidationInfo) -> Any:
    """Before an integer is made of it: what is text or a truth value is none, except in a query, where all is text."""
    if isinstance(value, bool | str | bytes) and str(info.mode) != "string":
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


class Strict(BaseModel):
    """A frozen value that refuses unknown fields, non-finite numbers, and a value of another kind than its field's.

    The text ``"3"`` and the truth value ``true`` are no numbers, and a number is no truth value. A whole number may be
    written as ``3.0``, as JSON makes no difference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make every number and truth value below strict; pydantic's own strictness would refuse lists for tuples."""
        return _strict(handler(source))


class Member(Strict):
    """One member of a family (activation, initializer, optimizer, model, ...).

    A subclass narrows `kind` to a `Literal` with that one name as its default, declares its parameters as bounded
    fields, and fills the class variables below. The union of a family's members is its catalogue.
    """

    kind: Any
    """Always a string: declared as Any so that a member can narrow it to its own Literal."""

    formula: ClassVar[str] = ""
    """The definition as one line of plain text, e.g. ``max(0, x)``."""
    references: ClassVar[tuple[str, ...]] = ()
    """Where it comes from: author, year, title or equation."""

    def parameters(self) -> dict[str, Any]:
        """Every field but `kind`, JSON-ready."""
        return self.model_dump(mode="json", exclude={"kind"})

    def label(self, named: Collection[str] = ()) -> str:
        """The shortest unambiguous name: the kind, and the parameters that differ from their defaults or are `named`.

        Args:
            named: parameters that are told whatever their value, because others beside this one have another.
        """
        changed = [
            f"{name}={_shown(value)}"
            for name, value in self
            if name != "kind" and (name in named or value != type(self).model_fields[name].default)
        ]
        return f"{self.kind}({', '.join(changed)})" if changed else self.kind


def _shown(value: Any) -> str:
    if isinstance(value, Member):
        return value.label()
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    # Two values that differ in the seventh digit must not be called the same.
    return short if float(short) == value else repr(value)


def named(value: Any) -> Any:
    """Turn a bare name into its member's object: ``"relu"`` means ``{"kind": "relu"}`` with defaults."""
    if isinstance(value, str):
        return {"kind": re.sub(r"[\s-]+", "_", value.strip().lower())}
    return value


def counted(most: int) -> BeforeValidator:
    """Refuse a longer list before a single entry of it is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > most:
            message = f"has {len(value)} entries; at most {most} are allowed"
            raise ValueError(message)
        return value

    return BeforeValidator(check)
