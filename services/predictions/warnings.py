"""What the theory says about a spec before it runs: scales that cannot work, seeds that cannot decide."""

from services.science.grid import Grid
from services.science.layer_scales import STRUCTURED, layer_scales
from services.science.models import Perceptron
from services.science.spec import Arm, ExperimentSpec
from services.science.theory.warnings import ALL_ALIKE, ALL_ALIKE_BUT_FOR_DROPOUT, seed_warnings, submission_warnings

MOST_PAIRS = 100
"""Pairs of activation and initializer that are looked at, at most."""
MOST_LAYERS = 400
"""Layers of all pairs together that are looked at: a submission must not wait for quadrature, and an oscillating
activation takes a hundred times longer than relu."""
MOST_WARNINGS = 20


def spec_warnings(spec: ExperimentSpec, grid: Grid) -> list[str]:
    """Warnings about the seeds, and about every pair of activation and initializer; no more than can be read."""
    sentences = seed_warnings(len(grid.arms), spec.rounds.max if spec.rounds is not None else len(spec.seeds))
    pairs: dict[tuple[str, str], Arm] = {}
    for arm in grid.arms:
        pairs.setdefault((arm.activation.label(), arm.initializer.label()), arm)
    sentences += _same_weights(spec, grid)
    model = spec.resolved().model
    assert model is not None
    depth = len(model.stages(spec.dataset.input_shape, spec.outputs))
    looked_at = max(1, min(MOST_PAIRS, MOST_LAYERS // max(depth, 1)))
    for arm in list(pairs.values())[:looked_at]:
        sentences += _arm_warnings(spec, arm)
    if len(pairs) > looked_at:
        sentences.append(f"of {len(pairs)} pairs of activation and initializer the first {looked_at} were looked at")
    if len(sentences) > MOST_WARNINGS:
        sentences = [*sentences[:MOST_WARNINGS], f"and {len(sentences) - MOST_WARNINGS} more warnings of this sort"]
    return sentences


def undrawable_pairs(spec: ExperimentSpec, grid: Grid) -> dict[int, str]:
    """Arms whose initializer has no weights for their activation and layers, with the reason; by position in the grid.

    Each pair of activation and initializer is named once, and the first `MOST_PAIRS` are looked at: a pair behind them
    fails when it is to be trained.
    """
    model = spec.resolved().model
    assert model is not None
    pairs: dict[tuple[str, str], int] = {}
    for position, arm in enumerate(grid.arms):
        pairs.setdefault((arm.activation.label(), arm.initializer.label()), position)
    reasons: dict[int, str] = {}
    for (activation, initializer), position in list(pairs.items())[:MOST_PAIRS]:
        arm = grid.arms[position]
        layers = model.weight_layers(spec.dataset.input_shape, spec.outputs, arm.activation.width_factor)
        # One layer of each sort says as much as all that are like it.
        sorts = {(layer.shape, layer.index == 0, layer.is_output): layer for layer in layers}
        try:
            layer_scales(arm.activation, arm.initializer, tuple(sorts.values()))
        except ValueError as error:
            reasons[position] = f"{initializer} with {activation}: {error}"
    return reasons


def _same_weights(spec: ExperimentSpec, grid: Grid) -> list[str]:
    """Where several seeds start from the same weights."""
    if len(spec.seeds) < 2 or not any(arm.initializer.sequential for arm in grid.arms):
        return []
    sentence = (
        "legacy_randn draws the same weights at every seed: its trials differ only in the order of their rows, and an "
        "interval over seeds says nothing about other weights; use one seed, or several numpy_seed"
    )
    return [sentence]


def _arm_warnings(spec: ExperimentSpec, arm: Arm) -> list[str]:
    if arm.initializer.kind in STRUCTURED:
        return []
    model = spec.resolved().model
    assert model is not None
    layers = model.weight_layers(spec.dataset.input_shape, spec.outputs, arm.activation.width_factor)
    try:
        scales = layer_scales(arm.activation, arm.initializer, layers)
    except ValueError:
        return []  # refused by `undrawable_pairs`
    hidden = scales[:-1]
    if hidden and all(scale.weight_variance == 0 for scale in hidden):
        who = f"{arm.initializer.label()} with {arm.activation.label()} at depth {len(hidden)}"
        dropout = any(stage.dropout for stage in model.stages(spec.dataset.input_shape, spec.outputs))
        return [f"{who}: {ALL_ALIKE_BUT_FOR_DROPOUT if dropout else ALL_ALIKE}"]
    if not isinstance(model, Perceptron) or not model.unscaled:
        return []  # the theory is about plain dense layers, whose signals nothing rescales
    return submission_warnings(arm.activation, scales, arm.activation.label(), arm.initializer.label())
