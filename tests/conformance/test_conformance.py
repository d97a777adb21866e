"""The engine's float32 numbers against the same trials recomputed in float64 from the numerics contract."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from services.science.datasets.synthetic import TwoMoons
from services.training.choose import Choice
from services.training.observer import EpochReport
from tests.conformance import parting
from tests.conformance.parting import EPOCHS, RELATIVE
from tests.conformance.recompute import recompute
from tests.support.training import prepared, train

pytestmark = pytest.mark.timeout(3600)  # all of diamonds takes half an hour where the machine is very busy


@pytest.fixture(params=["eager", "native"])
def engine(request: pytest.FixtureRequest) -> Choice:
    return request.param


def trained(
    document: dict[str, Any], data_dir: Path, engine: Choice
) -> tuple[list[tuple[str, str, int]], list[EpochReport]]:
    """Train a whole spec as one cohort; (activation, initializer, seed) of each slot, and the reports."""
    description, rows = prepared(document, data_dir)
    names = [(trial.activation.kind, trial.initializer.kind, trial.seed) for trial in description.trials]
    return names, train(description, rows, engine=engine).reports


RECOMPUTED: dict[tuple[bytes, str], list[dict[str, Any]]] = {}


def recomputed(x: np.ndarray, y: np.ndarray, **how: Any) -> list[dict[str, Any]]:
    """`recompute` once for both engines."""
    key = sha256(x.tobytes() + y.tobytes()).digest(), repr(sorted(how.items()))
    if key not in RECOMPUTED:
        RECOMPUTED[key] = recompute(x, y, **how)
    return RECOMPUTED[key]


def assert_agrees(names: list[tuple[str, str, int]], reports: list[EpochReport], x: Any, y: Any, **how: Any) -> None:
    """Every row agrees to 1e-4."""
    for slot, (activation, initializer, seed) in enumerate(names):
        rows = recomputed(x, y, activation=activation, initializer=initializer, seed=seed, epochs=EPOCHS, **how)
        assert np.isnan(reports[0].metrics["train_loss"][slot])
        for row, report in zip(rows, reports, strict=True):
            for name in ("train_loss", "val_loss"):
                where = f"{name} of {activation} x {initializer}, seed {seed}, epoch {row['epoch']}"
                assert row[name] is None or abs(report.metrics[name][slot] / row[name] - 1.0) < RELATIVE, where


@pytest.fixture(scope="session")
def diamonds(diamonds_csv: Path) -> tuple[np.ndarray, np.ndarray]:
    return parting.diamonds(diamonds_csv)


def test_smooth_activations_on_all_of_diamonds(
    data_dir: Path, diamonds: tuple[np.ndarray, np.ndarray], engine: Choice
) -> None:
    document = {
        "dataset": "diamonds",
        "activation": ["tanh", "sigmoid"],
        "initializer": ["glorot_uniform", "he_normal"],
        "epochs": EPOCHS,
        # Under seeds 3, 5 and 13 residuals of 3e-7 and less are met, whose signs float32 outputs alone get wrong.
        "seeds": [0, 3, 5, 7] if engine == "eager" else [0, 3, 5, 7, 13],
    }
    names, reports = trained(document, data_dir, engine)
    assert_agrees(names, reports, *diamonds)


def test_a_smooth_loss_on_all_of_diamonds_never_parts(
    data_dir: Path, diamonds: tuple[np.ndarray, np.ndarray], engine: Choice
) -> None:
    document = {
        "dataset": "diamonds",
        "activation": ["tanh", "sigmoid"],
        "initializer": ["he_uniform", "lecun_normal"],
        "loss": "mse",
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    assert_agrees(names, reports, *diamonds, loss="mse")


def test_rectifiers_on_4096_rows(data_dir: Path, diamonds: tuple[np.ndarray, np.ndarray], engine: Choice) -> None:
    document = {
        "dataset": {"name": "diamonds", "train_size": 4096},
        "activation": ["relu", "leaky_relu"],
        "initializer": ["he_uniform", "lecun_normal", "random_uniform"],
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    assert_agrees(names, reports, *diamonds, train_size=4096)


def test_adam_on_all_of_diamonds(data_dir: Path, diamonds: tuple[np.ndarray, np.ndarray]) -> None:
    """Where float32 keeps adam's moments too: the compiled engine."""
    document = {
        "dataset": "diamonds",
        "activation": ["tanh", "sigmoid"],
        "initializer": "glorot_uniform",
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, "native")
    assert_agrees(names, reports, *diamonds, optimizer="adam", lr=0.001)


def test_adam_on_4096_rows(data_dir: Path, diamonds: tuple[np.ndarray, np.ndarray], engine: Choice) -> None:
    document = {
        "dataset": {"name": "diamonds", "train_size": 4096},
        "activation": ["tanh", "sigmoid"],
        "initializer": "glorot_normal",
        "optimizer": "adam",
        "batch_size": 100,
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    assert_agrees(names, reports, *diamonds, train_size=4096, optimizer="adam", lr=0.001, batch=100)


def test_cross_entropy_on_digits(data_dir: Path, engine: Choice) -> None:
    document = {
        "dataset": "digits",
        "activation": ["tanh", "relu"],
        "initializer": ["he_normal", "glorot_uniform"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    x, y = load_digits(return_X_y=True)
    assert_agrees(names, reports, x, y, loss="cross_entropy", lr=0.1)


def test_one_sigmoid_output_on_two_moons(data_dir: Path, engine: Choice) -> None:
    document = {
        "dataset": "two_moons",
        "activation": ["tanh", "relu"],
        "initializer": ["he_normal", "glorot_uniform"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "loss": "binary_cross_entropy",
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    moons = TwoMoons().load(data_dir)
    assert_agrees(names, reports, moons.x, moons.y, loss="binary_cross_entropy", lr=0.1)


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        ({"hidden": [40, 30], "dropout": 0.2}, 32),
        ({"hidden": [40, 30], "batch_norm": {"decay": 0.9, "position": "before"}}, 32),
        ({"hidden": [40, 30, 20], "batch_norm": {"position": "after"}, "dropout": 0.3}, 50),
    ],
)
def test_batch_norm_and_dropout_on_digits(data_dir: Path, engine: Choice, model: dict[str, Any], batch: int) -> None:
    document = {
        "dataset": "digits",
        "model": {"kind": "mlp", **model},
        "activation": ["tanh", "sigmoid"],
        "initializer": ["he_normal", "random_uniform"],
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "batch_size": batch,
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, engine)
    norm = model.get("batch_norm") and {"decay": 0.99, "epsilon": 1e-3, **model["batch_norm"]}
    how: dict[str, Any] = {"hidden": tuple(model["hidden"]), "batch_norm": norm, "dropout": model.get("dropout", 0.0)}
    x, y = load_digits(return_X_y=True)
    assert_agrees(names, reports, x, y, loss="cross_entropy", lr=0.1, batch=batch, **how)


def test_adam_does_not_move_a_bias_that_batch_norm_takes_out(data_dir: Path) -> None:
    """Its gradient is zero; rounding would leave 1e-9, of which Adam makes whole steps, and the moving means follow."""
    document = {
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [40, 30], "batch_norm": {"decay": 0.9}},
        "activation": ["tanh", "sigmoid"],
        "initializer": ["he_normal", "glorot_uniform"],
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "epochs": EPOCHS,
        "seeds": 2,
    }
    names, reports = trained(document, data_dir, "native")
    how = {"hidden": (40, 30), "batch_norm": {"decay": 0.9, "epsilon": 1e-3, "position": "before"}}
    x, y = load_digits(return_X_y=True)
    assert_agrees(names, reports, x, y, loss="cross_entropy", optimizer="adam", lr=0.001, **how)
