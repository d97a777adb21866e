"""A preset in another size: what was changed is said, in a list and in the experiment's own name."""

from typing import Any

from services.science.base import Strict
from services.science.grid import expand
from services.science.hypotheses import HypothesisError, Terms, bind, parse
from services.science.hypotheses.metrics import claimable_metrics
from services.science.presets.base import Preset
from services.science.spec import ExperimentSpec

LONGEST_NAME = 200


class Resized(Strict):
    """A preset's spec after overrides."""

    spec: dict[str, Any]
    shrunk: list[str]
    """What is not as in the preset, one sentence part each; empty if nothing changed."""


def resize(
    preset: Preset,
    *,
    epochs: int | None = None,
    seeds: int | None = None,
    train_size: int | None = None,
    validation_size: int | None = None,
) -> Resized:
    """Apply overrides to a preset's spec.

    A smaller training set keeps the preset's optimizer steps per epoch by smaller batches, where the preset asks for
    that. Hypotheses that the new size cannot answer are left out.

    Args:
        preset: the study.
        epochs: instead of its own.
        seeds: their number, from 0.
        train_size: training rows kept.
        validation_size: validation rows kept; image sets only.

    Raises:
        pydantic.ValidationError: the overridden spec is not valid.
    """
    spec = dict(preset.spec)
    own = spec["dataset"]
    dataset: dict[str, Any] = dict(own) if isinstance(own, dict) else {"name": own}
    shrunk: list[str] = []

    def change(where: dict[str, Any], field: str, value: Any, what: str = "") -> None:
        before = where.get(field, "all")
        if value is not None and value != before:
            where[field] = value
            shrunk.append(f"{what or field} {before} → {value}")

    change(spec, "epochs", epochs)
    change(spec, "seeds", seeds)
    change(dataset, "train_size", train_size)
    change(dataset, "validation_size", validation_size)
    if train_size is not None and preset.steps_per_epoch is not None:
        change(spec, "batch_size", max(1, round(train_size / preset.steps_per_epoch)))
    if dataset not in (own, {"name": own}):
        spec["dataset"] = dataset
    if not shrunk:
        return Resized(spec=spec, shrunk=[])
    parsed = ExperimentSpec.model_validate(spec)
    hypotheses: list[str] = []
    terms = Terms(expand(parsed).arms, claimable_metrics(parsed), parsed.epochs)
    for text in parsed.hypotheses:
        try:
            bind(parse(text), terms)
        except HypothesisError as error:
            shrunk.append(f"without the hypothesis {text!r}: {error.reason}")
        else:
            hypotheses.append(text)
    name = f"{preset.name} (shrunk: {', '.join(part for part in shrunk if not part.startswith('without'))})"
    spec |= {"name": name[:LONGEST_NAME], "tags": [*spec.get("tags", ()), "shrunk"], "hypotheses": hypotheses}
    return Resized(spec=spec, shrunk=shrunk)
