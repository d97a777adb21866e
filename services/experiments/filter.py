"""The filter language of the experiment list: ``state = 'running' and (tag = 'lecture' or dataset = 'digits')``.

The grammar is that of `services.filter_grammar`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import not_, or_

from services.db.tables import ExperimentRow
from services.experiments.tags import has_tag
from services.filter_grammar import ORDERED, Clause, FilterSyntaxError, Token, parse_expression
from services.instants import instant
from services.states import STATES

FIELDS = ("state", "dataset", "tag", "name", "created_at", "trials", "epochs")


def parse_filter(text: str) -> Clause:
    """Turn a filter expression into a WHERE clause over `ExperimentRow`.

    Raises:
        InvalidInputError: with the position and what was expected there.
    """
    return parse_expression(text, FIELDS, _compare)


def _compare(field: str, sign: str, value: Token, sign_token: Token) -> Clause:
    if field == "tag":
        if sign not in ("=", "!="):
            raise FilterSyntaxError("a tag is compared with = or !=", sign_token)
        clause = has_tag(value.value)
        return clause if sign == "=" else not_(clause)
    column: Any = ExperimentRow.trial_count if field == "trials" else getattr(ExperimentRow, field)
    if sign == "contains":
        if field not in ("name", "dataset"):
            raise FilterSyntaxError(f"`contains` works on name and dataset, not on {field}", sign_token)
        return column.icontains(value.value, autoescape=True)
    if field in ("state", "name", "dataset"):
        if sign not in ("=", "!="):
            raise FilterSyntaxError(f"{field} is compared with = or !=, not {sign}", sign_token)
        if field == "state" and value.value not in STATES:
            raise FilterSyntaxError(f"unknown state {value.value!r}; legal: {', '.join(STATES)}", value)
        # SQL's NULL is neither equal nor unequal to a text; a reader expects "no name" to differ from any name.
        return column == value.value if sign == "=" else or_(column.is_(None), column != value.value)
    return ORDERED[sign](column, _time(value) if field == "created_at" else _number(value))


def _time(value: Token) -> datetime:
    try:
        return instant(value.value, complete=False)
    except ValueError as error:
        raise FilterSyntaxError(f"created_at {error}", value) from None


def _number(value: Token) -> int:
    if value.kind != "number" or "." in value.value or abs(int(value.value)) > 2**31 - 1:
        raise FilterSyntaxError(f"expected a whole number, not {value.value!r}", value)
    return int(value.value)
