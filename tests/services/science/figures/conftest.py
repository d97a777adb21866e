"""Made-up studies whose numbers are known, and the schema that every drawing has to fit."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft7Validator

from services.science.activations import ACTIVATIONS
from services.science.comparison.compare import compare
from services.science.comparison.input import ArmInput, ComparisonInput
from services.science.figures import Study
from services.science.initializers import INITIALIZERS
from services.science.results import ArmResults, LayerRecord, TrialResult
from services.science.streams import Purpose, stream

MakeStudy = Callable[..., Study]


def _study(
    activations: tuple[str, ...] = ("relu", "tanh"),
    initializers: tuple[str, ...] = ("he_uniform", "glorot_uniform"),
    seeds: int = 4,
    epochs: int = 6,
    diverged: dict[tuple[str, str], tuple[int, ...]] | None = None,
    states: str = "succeeded",
    **changes: Any,
) -> Study:
    """Curves that fall exponentially with noise of their own; `diverged` names seeds that stop at epoch 2."""
    gone = diverged or {}
    arms: list[ArmResults] = []
    layers: list[LayerRecord] = []
    for i, activation in enumerate(activations):
        for j, initializer in enumerate(initializers):
            place = i * len(initializers) + j
            noise = stream(place, Purpose.WEIGHTS, 0).normal(0.0, 0.02, (seeds, epochs + 1))
            base = 0.3 + 0.05 * i + 0.04 * j
            curve = base + (1.0 - base) * np.exp(-0.5 * np.arange(epochs + 1)) + noise
            lost = gone.get((activation, initializer), ())
            curve[list(lost), 2:] = np.nan
            training = curve - 0.02
            training[:, 0] = np.nan
            arms.append(
                ArmResults(
                    key=f"key{place}",
                    label=f"{activation} · {initializer}",
                    axes={
                        "activation": activation,
                        "initializer": initializer,
                        "optimizer": "sgd",
                        "batch_size": "batch 32",
                    },
                    trials=tuple(
                        TrialResult(
                            f"trl_{place}_{seed}",
                            seed,
                            "diverged" if seed in lost else states,
                            joules=float(joules),
                            diverged_at=2 if seed in lost else None,
                        )
                        for seed, joules in enumerate(np.linspace(5.0, 6.0, seeds) + place)
                    ),
                    curves={"val_loss": curve, "train_loss": training},
                    members={
                        "activation": ACTIVATIONS[activation].model_validate({}),
                        "initializer": INITIALIZERS[initializer].model_validate({}),
                    },
                )
            )
            for seed in range(seeds):
                # A trial that diverged is measured no more.
                layers += _layers(f"key{place}", place, seed, (0, 1) if seed in lost else (0, 1, epochs))
    study = Study(
        id="exp_1",
        name=changes.pop("name", "a study"),
        dataset="digits",
        task="classification",
        loss="cross_entropy",
        epochs=epochs,
        arms=tuple(arms),
        varying=("activation", "initializer"),
        comparison=_compared(arms) if states == "succeeded" else None,
        diagnostics=tuple(layers),
    )
    return study if not changes else Study(**{**vars(study), **changes})


def _compared(arms: list[ArmResults]) -> dict[str, Any]:
    inputs = [
        ArmInput(
            key=arm.key,
            label=arm.label,
            arm={axis: arm.axes[axis] for axis in ("activation", "initializer")},
            seeds=list(arm.seeds),
            outcomes=[trial.outcome for trial in arm.trials],
            curve=arm.curves["val_loss"],
            train_curve=arm.curves["train_loss"],
        )
        for arm in arms
    ]
    return compare(ComparisonInput(metric="val_loss", arms=inputs)).model_dump(mode="json")


def _layers(key: str, place: int, seed: int, epochs: tuple[int, ...]) -> list[LayerRecord]:
    """Numbers whose spread between seeds is known: a seed multiplies by e to the tenth of its own."""
    own = float(np.exp(0.1 * seed))
    records: list[LayerRecord] = []
    for epoch in epochs:
        for index, layer in enumerate(("dense_1", "dense_2", "output")):
            counts = (100 * np.exp(-0.5 * ((np.arange(40) - 20 - epoch) / (4 + index)) ** 2)).round().astype(int)
            values: dict[str, Any] = {
                "pre_activation_mean": 0.1 * place,
                "pre_activation_variance": own * (0.5 + 0.1 * index),
                "gradient_norm": own * 10.0 ** -(index + 0.1 * place),
                "update_ratio": None if epoch == 0 else 1e-3,
            }
            if layer != "output":
                values["histogram"] = {"below": 1, "counts": np.roll(counts, seed).tolist(), "above": 2}
            if epoch == 0:
                values["predicted_second_moment"] = 0.6 + 0.1 * index
            records.append(LayerRecord(key, seed, epoch, layer, index, values))
    return records


@pytest.fixture
def make_study() -> MakeStudy:
    return _study


@pytest.fixture(scope="session")
def vega_lite() -> Draft7Validator:
    """Vega-Lite's own schema, as altair ships it."""
    source = files("altair.vegalite.v6.schema") / "vega-lite-schema.json"
    return Draft7Validator(json.loads(source.read_text("utf-8")))
