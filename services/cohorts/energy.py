"""Sum up what the attempts of a cohort report of their energy.

A message carries the energy since the one before it and is stored exactly once, so that the sum holds over interrupted
and resumed attempts. What an attempt used after its last stored message, when it was killed, is not in it.
"""

from services.child_protocol import Energy
from services.db.tables import CohortRow

MIXED = "mixed"
"""The method of a sum over attempts that were metered in different ways: no measurement."""


def add_energy(cohort: CohortRow, energy: Energy | None) -> None:
    """Add a reported stretch to the cohort, which is locked."""
    if energy is None:
        return
    joules, method = energy["joules"], energy["method"]
    same = cohort.energy_method in (None, method)
    cohort.energy_joules = (cohort.energy_joules or 0.0) + joules
    cohort.energy_method = method if same else MIXED


def share(cohort: CohortRow, other: CohortRow) -> None:
    """Divide what is known so far between the two parts of a cohort, by their sizes."""
    if cohort.energy_joules is not None:
        total, trials = cohort.energy_joules, cohort.size + other.size
        cohort.energy_joules, other.energy_joules = total * cohort.size / trials, total * other.size / trials
        other.energy_method = cohort.energy_method
