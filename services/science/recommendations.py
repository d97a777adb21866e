"""What to choose before the first experiment: ranked, with reasons and sources. Advice to be tested, not a result."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

from services.science.activations import ACTIVATIONS, BaseActivation
from services.science.activations.advice import GLOROT_2010, HE_2015, LECUN_1998
from services.science.activations.base import Recommendation as Advice
from services.science.base import Strict
from services.science.initializers import INITIALIZERS, LayerContext
from services.science.theory.propagation import LayerScale, predict
from services.science.theory.warnings import compounding, drifting, power_of_scale, rows_apart

Task = Literal["binary", "multiclass", "regression"]
Role = Literal["hidden_activation", "output_activation", "initializer", "bias"]

WIDTH = 50
"""Width at which signal propagation is predicted: that of the default network."""
CATALOGUE_NOTES = "Notes on activation functions and parameter initialization, sections 1.7 and 2"
GOODFELLOW_2016 = "Goodfellow, Bengio & Courville 2016, Deep Learning"


class Recommendation(Strict):
    """One choice: the first rank of a role is tried first."""

    role: Role
    rank: int
    choice: str
    reason: str
    source: str
    warning: str | None = None


HIDDEN = (
    ("relu", "cheap, does not saturate for positive inputs: the first choice of a hidden layer", CATALOGUE_NOTES),
    (
        "leaky_relu",
        "where relu works badly or its units die: the small slope below zero lets a dead unit recover",
        "Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models; " + CATALOGUE_NOTES,
    ),
    (
        "selu",
        "keeps mean 0 and variance 1 through many plain layers, with lecun_normal weights and standardized inputs",
        "Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks",
    ),
    ("tanh", "zero-centred and of unit slope at 0: rather than sigmoid where outputs must be bounded", LECUN_1998),
    (
        "sigmoid",
        "not in hidden layers: its slope is at most 1/4 and its mean 1/2, so deep layers saturate and gradients vanish",
        f"{GLOROT_2010}, section 3; {CATALOGUE_NOTES}",
    ),
)
OUTPUT = {
    "binary": (
        "sigmoid",
        "one probability; under binary_cross_entropy its gradient is the plain error; softmax of two is the same model",
        f"{GOODFELLOW_2016}, section 6.2.2.2; {CATALOGUE_NOTES}",
    ),
    "multiclass": (
        "softmax",
        "probabilities of all classes that sum to 1; with cross-entropy its gradient is the plain error",
        f"{GOODFELLOW_2016}, section 6.2.2.3; {CATALOGUE_NOTES}",
    ),
    "regression": (
        "identity",
        "the target is unbounded: any squashing would cut off its range",
        f"{GOODFELLOW_2016}, section 6.2.2.1; {CATALOGUE_NOTES}",
    ),
}
BIAS = (
    "zeros",
    "the random weights break the symmetry already, so biases can start at 0",
    f"{HE_2015}, section 2.2; {CATALOGUE_NOTES}",
)


def recommend(task: Task, depth: int, activation: BaseActivation | None = None) -> list[Recommendation]:
    """Ranked choices for a network.

    Args:
        task: decides the output.
        depth: hidden layers; decides what is warned of.
        activation: of the hidden layers, when it is settled; else initializers are given for the first choice.

    Returns:
        Output first, then hidden activations, initializers and biases, each role from its first rank on.
    """
    entries = [Recommendation(role="output_activation", rank=1, **_fields(OUTPUT[task]))]
    chosen = activation or ACTIVATIONS["relu"].model_validate({"kind": "relu"})
    if activation is None:
        for rank, entry in enumerate(HIDDEN, start=1):
            entries.append(Recommendation(role="hidden_activation", rank=rank, **_fields(entry)))
    else:
        entries.append(_given(activation))
    entries += _initializers(chosen, depth)
    entries.append(Recommendation(role="bias", rank=1, **_fields(BIAS)))
    return entries


def _given(activation: BaseActivation) -> Recommendation:
    ranked = {entry[0]: (rank, entry) for rank, entry in enumerate(HIDDEN, start=1)}
    if activation.kind in ranked:
        rank, entry = ranked[activation.kind]
        return Recommendation(role="hidden_activation", rank=rank, **_fields(entry))
    sources = "; ".join(type(activation).references) or "the catalogue's own entry"
    reason = f"asked for; it goes wrong like this: {activation.failure}" if activation.failure else "asked for"
    return Recommendation(role="hidden_activation", rank=1, choice=activation.kind, reason=reason, source=sources)


def _initializers(activation: BaseActivation, depth: int) -> Iterator[Recommendation]:
    """What the catalogue advises: first what theory finds nothing against at this depth, then the rest with warnings.

    Within both the catalogue's order stands. What cannot be had for this activation at all is left out.
    """
    advised: list[tuple[str | None, Advice]] = []
    for advice in activation.recommended_initializers:
        with suppress(ValueError):
            advised.append((_warning(activation, advice.initializer, depth), advice))
    ordered = sorted(advised, key=lambda pair: pair[0] is not None)
    for rank, (warning, advice) in enumerate(ordered, start=1):
        yield Recommendation(
            role="initializer",
            rank=rank,
            choice=advice.initializer,
            reason=f"for {activation.kind}: {advice.reason}",
            source=advice.source,
            warning=warning,
        )


def _warning(activation: BaseActivation, kind: str, depth: int) -> str | None:
    """What signal propagation predicts at this depth, unless all is well.

    Raises:
        ValueError: the initializer has no weights for this activation.
    """
    layers = _scales(activation, kind, depth)
    sentences: list[str] = []
    if layers is not None:
        with suppress(ValueError):
            prediction = predict(activation, layers)
            if prediction.verdict != "ok":
                sentences.append(prediction.sentence)
    power = power_of_scale(activation, depth)
    if power is not None:
        sentences.append(f"After {depth} plain layers {compounding(power)}; layer_norm would keep rows alike.")
    elif layers is not None and not sentences and (apart := rows_apart(activation, layers)) is not None:
        sentences.append(f"Over {depth} plain layers {drifting(apart)}; layer_norm would keep rows alike.")
    return " ".join(sentences) or None


def _scales(activation: BaseActivation, kind: str, depth: int) -> list[LayerScale] | None:
    """The layers of a network of `WIDTH`; None where the data set the scale of the weights."""
    initializer = INITIALIZERS[kind].model_validate({"kind": kind})
    shape = (WIDTH, WIDTH * activation.width_factor)
    layers: list[LayerScale] = []
    for layer in range(depth + 1):
        context = LayerContext.of(shape, layer=layer, depth=depth + 1, activation=activation)
        std = initializer.theory(shape, context).std
        if std is None:
            return None
        layers.append(LayerScale(*shape, weight_variance=std**2, bias_variance=initializer.bias_variance_of(context)))
    return layers


def _fields(entry: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("choice", "reason", "source"), entry, strict=True))
