"""What figures of layers share: the records that they show, layer by layer over the seeds of an arm."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.science.figures.base import NoFigureDataError, finite
from services.science.figures.study import Study
from services.science.results import LayerRecord


def layer_records(study: Study, name: str) -> list[LayerRecord]:
    """The records that carry the quantity, in the order of the grid, the epochs, the layers and the seeds.

    Raises:
        NoFigureDataError: there are none.
    """
    place = {arm.key: i for i, arm in enumerate(study.arms)}
    records = [
        record for record in study.diagnostics if record.values.get(name) is not None and record.arm_key in place
    ]
    if not records:
        raise NoFigureDataError(f"no layer has a {name!r}: the experiment's diagnostics do not keep it, or not yet")
    return sorted(records, key=lambda record: (place[record.arm_key], record.epoch, record.layer_index, record.seed))


def by_layer(records: Iterable[LayerRecord]) -> list[tuple[LayerRecord, ...]]:
    """The records of the same layer of the same arm after the same epoch together: one per seed."""
    groups: dict[tuple[str, int, str], list[LayerRecord]] = {}
    for record in records:
        groups.setdefault((record.arm_key, record.epoch, record.layer), []).append(record)
    return [tuple(group) for group in groups.values()]


def number(values: Mapping[str, Any], name: str) -> float | None:
    """A quantity of a layer, None where it is missing or not finite."""
    value = values.get(name)
    return None if value is None else finite(value)


def depth_order(records: Iterable[LayerRecord]) -> list[str]:
    """The layers' names from the input to the output."""
    return list(dict.fromkeys(r.layer for r in sorted(records, key=lambda r: (r.layer_index, r.layer))))


def spread_over(epochs: Iterable[int], most: int) -> list[int]:
    """At most so many of the epochs, the first and the last among them, as evenly as their order allows."""
    measured = sorted(set(epochs))
    if len(measured) <= most:
        return measured
    return [measured[round(i * (len(measured) - 1) / (most - 1))] for i in range(most)]
