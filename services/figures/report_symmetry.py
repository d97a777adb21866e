"""What a report says of symmetry that was never broken: layers whose units are still all equal."""

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow, TrialRow


@dataclass
class _Alike:
    """What was found in the trials of one arm."""

    label: str
    trials: set[str] = field(default_factory=set)
    layers: dict[str, None] = field(default_factory=dict)
    epochs: set[int] = field(default_factory=set)


def unbroken_symmetry(session: Session, experiment_id: str) -> tuple[str, ...]:
    """One sentence for each arm with a hidden layer whose units were all equal when it was last measured.

    Args:
        session: any session.
        experiment_id: whose diagnostics are read; without any there is nothing to say.
    """
    last = (
        select(DiagnosticRow.trial_id, func.max(DiagnosticRow.epoch).label("epoch"))
        .join(TrialRow, TrialRow.id == DiagnosticRow.trial_id)
        .where(TrialRow.experiment_id == experiment_id)
        .group_by(DiagnosticRow.trial_id)
        .subquery()
    )
    query = (
        select(TrialRow.id, TrialRow.arm_key, TrialRow.label, DiagnosticRow.layer, DiagnosticRow.epoch)
        .join(DiagnosticRow, DiagnosticRow.trial_id == TrialRow.id)
        .join(last, (last.c.trial_id == DiagnosticRow.trial_id) & (last.c.epoch == DiagnosticRow.epoch))
        .where(
            DiagnosticRow.values["distinct_units"].as_float() == 1.0,
            DiagnosticRow.values["units"].as_float() > 1.0,
        )
        .order_by(TrialRow.position, DiagnosticRow.layer_index)
    )
    found: dict[str, _Alike] = {}
    for trial_id, arm_key, label, layer, epoch in session.execute(query):
        arm = found.setdefault(arm_key, _Alike(label))
        arm.trials.add(trial_id)
        arm.layers[layer] = None
        arm.epochs.add(epoch)
    if not found:
        return ()
    measured: defaultdict[str, int] = defaultdict(int)
    for (arm_key,) in session.execute(select(TrialRow.arm_key).join(last, last.c.trial_id == TrialRow.id)):
        measured[arm_key] += 1
    return tuple(_sentence(arm, measured[key]) for key, arm in found.items())


def _sentence(arm: _Alike, measured: int) -> str:
    layers = list(arm.layers)
    named = layers[0] if len(layers) == 1 else f"{', '.join(layers[:-1])} and {layers[-1]}"
    epochs = f"epoch {min(arm.epochs)}" if len(arm.epochs) == 1 else f"epochs {min(arm.epochs)} to {max(arm.epochs)}"
    which = "that layer" if len(layers) == 1 else "each of those layers"
    return (
        f"{arm.label}: all units of {named} were still equal at the last measurement ({epochs}) of "
        f"{len(arm.trials)} of {measured} trials, so {which} computed no more than a single unit can: its symmetry was "
        "never broken."
    )
