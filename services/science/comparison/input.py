"""What a comparison is made from: arms, each with one outcome per seed, and optionally whole curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from services.science.results import Outcome

Floats = NDArray[np.float64]
At = Literal["final", "best", "auc"]
CiMethod = Literal["t", "bca"]


@dataclass(frozen=True, eq=False)
class EnergyInput:
    """Energy of an arm's trials, each shape `(seeds,)`, NaN where not known."""

    joules: Floats
    grams_co2e: Floats | None = None
    method: Literal["measured", "estimated"] = "estimated"
    share_rule: str = ""
    """How the energy of a cohort was shared among its trials, in words."""


@dataclass(frozen=True, eq=False)
class ArmInput:
    """One arm. Give `values`, or `curve` from which they are taken, or both.

    Curves have shape `(seeds, epochs + 1)`: row i belongs to `seeds[i]`, column 0 is the untrained network, NaN where
    there is no number. Rows of trials that did not finish are ignored.
    """

    key: str
    label: str
    arm: Mapping[str, Any]
    seeds: Sequence[int]
    outcomes: Sequence[Outcome]
    values: Floats | None = None
    curve: Floats | None = None
    train_curve: Floats | None = None
    energy: EnergyInput | None = None

    def __post_init__(self) -> None:
        """Check that everything has one entry per seed."""
        count = len(self.seeds)
        if len(set(self.seeds)) != count:
            raise ValueError(f"arm {self.key!r}: a seed is listed twice")
        lengths = {"outcomes": len(self.outcomes)}
        arrays = {"values": self.values, "curve": self.curve, "train_curve": self.train_curve}
        lengths |= {name: array.shape[0] for name, array in arrays.items() if array is not None}
        for name, length in lengths.items():
            if length != count:
                raise ValueError(f"arm {self.key!r}: {name} has {length} entries for {count} seeds")
        if self.values is None and self.curve is None and Outcome.FINISHED in self.outcomes:
            raise ValueError(f"arm {self.key!r}: finished trials need values or a curve")

    @classmethod
    def of(
        cls,
        key: str,
        results: Mapping[int, float | Literal["diverged", "missing"]],
        arm: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> "ArmInput":
        """An arm from one number, or one word, per seed."""
        numbers = {seed: value for seed, value in results.items() if not isinstance(value, str)}
        return cls(
            key=key,
            label=label or key,
            arm=dict(arm) if arm is not None else {"arm": key},
            seeds=tuple(results),
            outcomes=tuple(Outcome.FINISHED if seed in numbers else Outcome(str(results[seed])) for seed in results),
            values=np.array([numbers.get(seed, np.nan) for seed in results], dtype=np.float64),
        )


@dataclass(frozen=True, eq=False)
class ComparisonInput:
    """One question: which arm is best at `metric`, and how sure is that."""

    metric: str
    arms: Sequence[ArmInput]
    at: At = "final"
    confidence: float = 0.95
    ci_method: CiMethod = "t"
    threshold: float | None = None
    """Value whose first reaching is timed; None lets the data choose (see `convergence_threshold`)."""
    seed: int = 0
    """Of the resampling streams (bootstrap, Monte Carlo permutation)."""
    unlike: Sequence[str] = ()
    """In what the arms' experiments differ beside the arms, in words for the sentence: ``epochs (10 against 20)``."""
    warnings: Sequence[str] = ()
    """What is to be said beside the answer, in whole sentences."""

    def __post_init__(self) -> None:
        """Check the confidence and that keys are unique."""
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie strictly between 0 and 1, not {self.confidence}")
        keys = [arm.key for arm in self.arms]
        if len(set(keys)) != len(keys):
            raise ValueError("every arm needs a key of its own")


def pool_arms(arms: Sequence[ArmInput], by: Iterable[str], axis_label: str = " x ") -> list[ArmInput]:
    """Merge arms that agree on the axes `by`, averaging over the other axes within each seed.

    The seed stays the unit: a pooled arm has one value per seed, the mean over the cells of its other axes. Only cells
    that every pooled arm has are used, so that no arm is favoured by easier company. If any of these cells diverged the
    seed counts as diverged; else if any is missing, as missing.

    Raises:
        ValueError: an axis that no arm has, arms given by value only and by curve mixed, or no cell in common.
    """
    axes = list(dict.fromkeys(by))
    present = {name for arm in arms for name in arm.arm}
    for name in axes:
        if name not in present:
            raise ValueError(f"by: no axis {name!r}; the axes are {', '.join(sorted(present))}")
    groups: dict[str, dict[str, ArmInput]] = {}
    for arm in arms:
        inside = repr([arm.arm.get(name) for name in axes])
        rest = repr(sorted((name, repr(value)) for name, value in arm.arm.items() if name not in axes))
        groups.setdefault(inside, {})[rest] = arm
    common = set.intersection(*(set(cells) for cells in groups.values())) if groups else set[str]()
    if groups and not common:
        raise ValueError(f"by: the arms have no combination of the other axes in common besides {', '.join(axes)}")
    return [
        _pooled([cells[rest] for rest in sorted(common)], axes, axis_label) if len(common) > 1 else cells[min(common)]
        for cells in groups.values()
    ]


def _pooled(cells: Sequence[ArmInput], axes: Sequence[str], axis_label: str) -> ArmInput:
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    outcome_of = [dict(zip(cell.seeds, cell.outcomes, strict=True)) for cell in cells]
    outcomes: list[Outcome] = []
    for seed in seeds:
        all_of_it = [by_seed.get(seed, Outcome.MISSING) for by_seed in outcome_of]
        worst = (Outcome.DIVERGED, Outcome.MISSING)
        outcomes.append(next((outcome for outcome in worst if outcome in all_of_it), Outcome.FINISHED))
    inside = {name: cells[0].arm.get(name) for name in axes}
    label = axis_label.join(_short(value) for value in inside.values())
    return ArmInput(
        key=label,
        label=label,
        arm=inside,
        seeds=seeds,
        outcomes=outcomes,
        values=_mean_over([(cell.seeds, cell.values) for cell in cells], seeds),
        curve=_mean_over([(cell.seeds, cell.curve) for cell in cells], seeds),
        train_curve=_mean_over([(cell.seeds, cell.train_curve) for cell in cells], seeds),
        energy=_pooled_energy(cells, seeds),
    )


def _pooled_energy(cells: Sequence[ArmInput], seeds: Sequence[int]) -> EnergyInput | None:
    metered = [(cell.seeds, cell.energy) for cell in cells if cell.energy is not None]
    if len(metered) < len(cells):
        return None
    joules = _mean_over([(own, energy.joules) for own, energy in metered], seeds)
    grams = _mean_over([(own, energy.grams_co2e) for own, energy in metered], seeds)
    measured = all(energy.method == "measured" for _, energy in metered)
    rules = "; ".join(dict.fromkeys(energy.share_rule for _, energy in metered if energy.share_rule))
    return None if joules is None else EnergyInput(joules, grams, "measured" if measured else "estimated", rules)


def _mean_over(parts: Sequence[tuple[Sequence[int], Floats | None]], seeds: Sequence[int]) -> Floats | None:
    rows: list[Floats] = []
    for own_seeds, array in parts:
        if array is None or (rows and rows[0].shape[1:] != array.shape[1:]):
            return None
        aligned = np.full((len(seeds), *array.shape[1:]), np.nan)
        aligned[[seeds.index(seed) for seed in own_seeds]] = array
        rows.append(aligned)
    return np.mean(rows, axis=0)


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        kind = value.get("kind")
        others = {name: item for name, item in value.items() if name != "kind"}
        return f"{kind}" + (f"({', '.join(f'{name}={item}' for name, item in others.items())})" if others else "")
    return str(value)
