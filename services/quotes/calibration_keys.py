"""The keys of the calibrations table: what a row measures, told by a text that is made and read here alone.

| key | value of the row |
|---|---|
| `<shape>:<engine>:<device>` | microseconds per trial and step of one shape of work |
| `<shape>:<engine>:<device>:spread` | by how much such measurements were off |
| `<shape>:<engine>:<device>:seconds` | seconds of training that such measurements lasted |
| `startup:<engine>:<device>` | seconds of a cohort beyond its training |
| `machine:<name>:<digest>` | one number of a measured machine |
"""

from dataclasses import dataclass

_STARTUP = "startup"
_MACHINE = "machine"
_SPREAD = "spread"
_SECONDS = "seconds"
MACHINE_PREFIX = f"{_MACHINE}:"
"""What every key of a measured machine begins with, and no other key."""


@dataclass(frozen=True)
class Place:
    """An engine and the device it ran on."""

    engine: str
    device: str

    def __str__(self) -> str:
        """As it stands in a key."""
        return f"{self.engine}:{self.device}"


@dataclass(frozen=True)
class RateKey:
    """What one shape of work took in one place; `shape` is a digest, see `history.shape_key`."""

    shape: str
    place: Place

    def __str__(self) -> str:
        """As it is stored."""
        return f"{self.shape}:{self.place}"

    @property
    def spread(self) -> str:
        """The key of how far the measurements of this rate lie apart."""
        return f"{self}:{_SPREAD}"

    @property
    def seconds(self) -> str:
        """The key of how long the measured trainings were: what a rate may be stretched to."""
        return f"{self}:{_SECONDS}"


@dataclass(frozen=True)
class MachineKey:
    """One number of one measured machine."""

    name: str
    digest: str

    def __str__(self) -> str:
        """As it is stored."""
        return f"{MACHINE_PREFIX}{self.name}:{self.digest}"


def startup_key(place: Place) -> str:
    """The key of what a cohort takes beyond its training."""
    return f"{_STARTUP}:{place}"


def shape_prefix(shape: str) -> str:
    """What the keys of a shape begin with, wherever it was trained; those of the spreads among them."""
    return f"{shape}:"


def read_rate_key(key: str) -> RateKey | None:
    """The key of a rate; None for one of a spread, of a start or of a machine."""
    shape, *rest = key.split(":")
    if len(rest) != len(("engine", "device")) or shape in (_STARTUP, _MACHINE):
        return None
    return RateKey(shape, Place(*rest))


def read_machine_key(key: str) -> MachineKey:
    """The key of a machine's number.

    Raises:
        ValueError: it is none.
    """
    kind, *rest = key.split(":")
    if kind != _MACHINE or len(rest) != len(("name", "digest")):
        raise ValueError(f"{key!r} is not the key of a machine's number, {MACHINE_PREFIX}<name>:<digest>")
    return MachineKey(*rest)
