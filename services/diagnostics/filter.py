"""The filter language of diagnostics: ``dead_fraction > 0.5 and epoch = 0``.

The grammar is that of `services.filter_grammar`. A layer without a quantity fulfils no comparison with it, nor the
opposite.
"""

import math
from typing import Any

from sqlalchemy import Float, cast

from services.db.tables import DiagnosticRow, TrialRow
from services.filter_grammar import ORDERED, Clause, FilterSyntaxError, Token, parse_expression

QUANTITIES = (
    "pre_activation_mean",
    "pre_activation_variance",
    "activation_mean",
    "activation_variance",
    "saturated_fraction",
    "dead_fraction",
    "gradient_norm",
    "gradient_variance",
    "backward_second_moment",
    "update_ratio",
    "units",
    "distinct_units",
    "effective_rank",
    "output_min",
    "output_max",
    "target_min",
    "target_max",
    "predicted_second_moment",
    "predicted_backward_ratio",
)
"""The numbers a layer may have; `histogram` is none and cannot be compared."""
FIELDS = ("epoch", "layer", "layer_index", "seed", "arm", "state", *QUANTITIES)
TEXTS: dict[str, Any] = {"layer": DiagnosticRow.layer, "arm": TrialRow.label, "state": TrialRow.state}
WHOLE: dict[str, Any] = {
    "epoch": DiagnosticRow.epoch,
    "layer_index": DiagnosticRow.layer_index,
    "seed": TrialRow.seed,
}


def parse_where(text: str) -> Clause:
    """Turn an expression into a WHERE clause over `DiagnosticRow` joined with `TrialRow`.

    Raises:
        InvalidInputError: with the position and what was expected there.
    """
    return parse_expression(text, FIELDS, _compare, "where")


def _compare(field: str, sign: str, value: Token, sign_token: Token) -> Clause:
    if field in TEXTS:
        column = TEXTS[field]
        if sign == "contains":
            return column.icontains(value.value, autoescape=True)
        if sign not in ("=", "!="):
            raise FilterSyntaxError(f"{field} is compared with =, != or contains, not {sign}", sign_token)
        return column == value.value if sign == "=" else column != value.value
    if sign == "contains":
        raise FilterSyntaxError(f"`contains` works on {', '.join(TEXTS)}, not on {field}", sign_token)
    if field in WHOLE:
        # As numbers of one kind: `epoch < 2.5` is meant as it stands.
        return ORDERED[sign](cast(WHOLE[field], Float(53)), _number(value))
    return ORDERED[sign](DiagnosticRow.values[field].as_float(), _number(value))


def _number(value: Token) -> float:
    try:
        number = float(value.value)
    except ValueError:
        number = math.nan
    if value.kind == "text" or not math.isfinite(number):
        raise FilterSyntaxError(f"expected a number, not {value.value!r}", value)
    return number
