"""What the layers of trials looked like: rows chosen by trial, arm, epoch, layer or an expression, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow, TrialRow
from services.diagnostics.filter import QUANTITIES, parse_where
from services.errors import FieldProblem, InvalidInputError
from services.trials import series

NAMES = (*QUANTITIES, "histogram")
Key = tuple[int, int, int, str]
"""The order of the rows: place of the trial in the grid, epoch, layer from the input, layer's name."""


class LayerDiagnostics(BaseModel):
    """One layer of one trial after one epoch; epoch 0 is the untrained network."""

    trial_id: str
    label: str
    seed: int
    epoch: int
    layer: str
    layer_index: int
    values: dict[str, Any] = Field(
        description="Numbers by name, null where not finite. `histogram` counts the activations: `below` the first of "
        "`histogram_edges`, between each edge and the next, and from the last edge on."
    )


@dataclass(frozen=True)
class Wanted:
    """Which rows, and which of their numbers (all when none is named)."""

    trials: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    epochs: tuple[int, ...] = ()
    layers: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    where: str | None = None


def page(
    session: Session, experiment_id: str, selection: Wanted, limit: int, after: Key | None = None
) -> tuple[list[LayerDiagnostics], Key | None]:
    """One page of an experiment's diagnostics in the order of the grid, the epochs and the layers.

    Returns:
        The rows, and the key of the last one when more follow.

    Raises:
        InvalidInputError: a trial or arm that the experiment does not have, an unknown quantity, or a bad expression.
    """
    for name in selection.quantities:
        if name not in NAMES:
            message = f"unknown quantity {name[:60]!r}; legal: {', '.join(NAMES)}"
            raise InvalidInputError(f"quantity: {message}", [FieldProblem("quantity", message)])
    query = (
        select(TrialRow.position, TrialRow.label, TrialRow.seed, DiagnosticRow)
        .join(TrialRow, TrialRow.id == DiagnosticRow.trial_id)
        .where(TrialRow.experiment_id == experiment_id)
        .order_by(TrialRow.position, DiagnosticRow.epoch, DiagnosticRow.layer_index, DiagnosticRow.layer)
        .limit(limit + 1)
    )
    if selection.trials or selection.arms:
        chosen = series.members(session, experiment_id, series.Selection(trials=selection.trials, arms=selection.arms))
        query = query.where(DiagnosticRow.trial_id.in_([member.id for member in chosen]))
    if selection.epochs:
        query = query.where(DiagnosticRow.epoch.in_(selection.epochs))
    if selection.layers:
        query = query.where(DiagnosticRow.layer.in_(selection.layers))
    if selection.where is not None:
        query = query.where(parse_where(selection.where))
    if after is not None:
        query = query.where(_follows(after))
    fetched = session.execute(query).all()
    rows = fetched[:limit]
    items = [
        LayerDiagnostics(
            trial_id=row.trial_id,
            label=label,
            seed=seed,
            epoch=row.epoch,
            layer=row.layer,
            layer_index=row.layer_index,
            values=_chosen(row.values, selection.quantities),
        )
        for _, label, seed, row in rows
    ]
    if len(fetched) <= limit:
        return items, None
    position, _, _, last = rows[-1]
    return items, (position, last.epoch, last.layer_index, last.layer)


def _follows(key: Key) -> Any:
    """Rows after this key, column by column: both databases use the order's columns this way."""
    columns = (TrialRow.position, DiagnosticRow.epoch, DiagnosticRow.layer_index, DiagnosticRow.layer)
    return or_(
        *(
            and_(*(column == value for column, value in zip(columns[:place], key, strict=False)), columns[place] > last)
            for place, last in enumerate(key)
        )
    )


def _chosen(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names} if names else values
