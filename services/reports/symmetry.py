"""What a report says of symmetry that was never broken: layers whose units are still all equal."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow
from services.results.layer_loader import last_layers, measured_trials
from services.science.results import ArmResults, ExperimentResults, LayerRecord


def unbroken_symmetry(session: Session, results: ExperimentResults) -> tuple[str, ...]:
    """One sentence for each arm with a hidden layer whose units were all equal when it was last measured.

    Args:
        session: any session.
        results: whose layers are read; without any measured there is nothing to say.
    """
    distinct, units = (DiagnosticRow.values[name].as_float() for name in ("distinct_units", "units"))
    alike: dict[str, list[LayerRecord]] = defaultdict(list)
    for record in last_layers(session, results.arms, (), (), distinct == 1.0, units > 1.0):
        alike[record.arm_key].append(record)
    if not alike:
        return ()
    measured = measured_trials(session, results.arms)
    return tuple(_sentence(arm, alike[arm.key], measured[arm.key]) for arm in results.arms if arm.key in alike)


def _sentence(arm: ArmResults, alike: Sequence[LayerRecord], measured: int) -> str:
    layers = list(dict.fromkeys(record.layer for record in alike))
    seen = {record.epoch for record in alike}
    named = layers[0] if len(layers) == 1 else f"{', '.join(layers[:-1])} and {layers[-1]}"
    epochs = f"epoch {min(seen)}" if len(seen) == 1 else f"epochs {min(seen)} to {max(seen)}"
    which = "that layer" if len(layers) == 1 else "each of those layers"
    return (
        f"{arm.label}: all units of {named} were still equal at the last measurement ({epochs}) of "
        f"{len({record.seed for record in alike})} of {measured} trials, so {which} computed no more than a single "
        "unit can: its symmetry was never broken."
    )
