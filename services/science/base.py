"""What every catalogue member is: one small frozen class with a `kind`, bounded parameters and its sources."""

import re
from collections.abc import Collection
from typing import Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Strict(BaseModel):
    """A frozen value that refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
