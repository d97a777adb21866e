"""The rates of the machine that trains: those assumed at first, those a worker measured, and where they are kept.

A set of measured numbers belongs to one machine, its threads and its software, told by a digest. Each number is a row
of the calibrations table (`calibration_keys.py`); a set is written in one transaction.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.tables import CalibrationRow
from services.quotes.calibration_keys import MACHINE_PREFIX, MachineKey, read_machine_key

READY_SECONDS = 0.2
"""From the claim to the end beyond the training, where a process that has imported everything waits for work."""
FORGET = timedelta(days=90)
"""A set that no worker has confirmed for so long is forgotten."""


@dataclass(frozen=True)
class Machine:
    """What one slot of a worker does in a second; the defaults are those of one machine with two cores.

    Multiply and add are counted apart.

    Attributes:
        kernel_flops: of multilayer perceptrons in the compiled kernel, on all threads; 0 where it does not train them.
        kernel_trial_step_seconds: one trial's step in the kernel, whatever its size.
        flops: of dense layers in PyTorch.
        convolution_flops: of convolutions in PyTorch, as many trials at once as there are threads.
        number_seconds: for each number that a dense network keeps of a row for the way back, in PyTorch.
        convolution_number_seconds: the same of a convolutional network.
        convolution_layer_seconds: one layer in one step of a convolutional trial, whatever its size.
        step_seconds: one step of a dense cohort in PyTorch.
        layer_seconds: the same for each of its layers.
        trial_step_seconds: the same for each of its trials.
        rank_seconds: the effective rank of a square matrix, for each of its rows cubed.
        import_seconds: start of a process that imports the engines.
        threads: of the slot that was measured; the kernel's trials have one each.
        startup_seconds: from the claim of a cohort to its end, beyond the training.
        digest: which measured set this is; empty for the defaults.
    """

    kernel_flops: float = 1e11
    kernel_trial_step_seconds: float = 0.5e-6
    flops: float = 4e10
    convolution_flops: float = 4e10
    number_seconds: float = 0.0
    convolution_number_seconds: float = 0.0
    convolution_layer_seconds: float = 60e-6
    step_seconds: float = 60e-6
    layer_seconds: float = 50e-6
    trial_step_seconds: float = 4e-6
    rank_seconds: float = 2e-10
    import_seconds: float = 0.0
    threads: float = 1.0
    startup_seconds: float = 1.5
    digest: str = ""

    @property
    def measured(self) -> bool:
        """Whether a worker measured these numbers."""
        return bool(self.digest)


ASSUMED = Machine()
"""What is assumed until a worker has measured its machine."""
NUMBERS = tuple(field.name for field in fields(Machine) if field.name not in ("startup_seconds", "digest"))
"""The names of the measured numbers; a set that lacks one is measured anew."""
KERNEL = ("kernel_flops", "kernel_trial_step_seconds")
POSITIVE = ("flops", "convolution_flops", "import_seconds", "threads")


def checked(rates: object) -> dict[str, float]:
    """The numbers of a set, if they can be that; null, for a kernel that is not there, is 0.

    Raises:
        ValueError: not an object, a number that is missing, not finite or negative, or a rate of zero.
    """
    if not isinstance(rates, Mapping):
        raise ValueError(f"the measured rates must be an object, not {str(rates)[:80]!r}")
    numbers: dict[str, float] = {}
    for name in NUMBERS:
        value = 0.0 if name in KERNEL and rates.get(name, 0.0) is None else rates.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")
        if name in POSITIVE and value == 0:
            raise ValueError(f"{name} must be more than 0")
        numbers[name] = float(value)
    return numbers


def store(session: Session, digest: str, numbers: Mapping[str, float]) -> None:
    """Keep a checked set, in place of one with the same digest; those of machines long gone are forgotten."""
    session.execute(
        delete(CalibrationRow).where(
            CalibrationRow.key.startswith(MACHINE_PREFIX, autoescape=True), CalibrationRow.updated_at < now() - FORGET
        )
    )
    for name in NUMBERS:
        session.merge(
            CalibrationRow(key=str(MachineKey(name, digest)), value=numbers[name], samples=1, updated_at=now())
        )


def confirm(session: Session, digest: str) -> bool:
    """Whether there is a whole set for the machine; it is then the newest, for it is the machine now at work."""
    keys = [str(MachineKey(name, digest)) for name in NUMBERS]
    if len(session.scalars(select(CalibrationRow.key).where(CalibrationRow.key.in_(keys))).all()) < len(keys):
        return False
    session.execute(update(CalibrationRow).where(CalibrationRow.key.in_(keys)).values(updated_at=now()))
    return True


def present(session: Session) -> Machine:
    """The newest whole set, of whatever worker wrote or confirmed it last; what is assumed while there is none."""
    rows = session.scalars(
        select(CalibrationRow)
        .where(CalibrationRow.key.startswith(MACHINE_PREFIX, autoescape=True))
        .order_by(CalibrationRow.updated_at.desc(), CalibrationRow.key)
    )
    sets: dict[str, dict[str, float]] = {}
    for row in rows:
        key = read_machine_key(row.key)
        sets.setdefault(key.digest, {})[key.name] = row.value
    for digest, numbers in sets.items():
        if all(name in numbers for name in NUMBERS):
            rates = {name: numbers[name] for name in NUMBERS}
            return replace(ASSUMED, **rates, startup_seconds=READY_SECONDS, digest=digest)
    return ASSUMED
