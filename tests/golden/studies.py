"""Small studies whose epoch rows have the same bits on every processor, and how they are trained and digested.

It needs NumPy, SciPy and Pydantic only, so that an emulated processor can run it: ``python -m tests.golden.studies``
prints the digests as JSON, ``--write`` puts them into digests.json.
"""

import argparse
import ctypes
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from services.science.datasets import prepare
from services.science.grid import expand
from services.science.spec import ExperimentSpec
from services.training.engine import CohortDescription, Rows, TrialPlan
from services.training.initial import draw_layers
from services.training.metrics import epoch_metrics, other_metrics, target_scatter
from services.training.native.engine import NativeEngine
from services.training.native.structures import declared

DIGESTS = Path(__file__).with_name("digests.json")
EPOCHS = 3

REGRESSION = {"name": "teacher_student", "size": 333, "noise": 0.1}
MOONS = {"name": "two_moons", "size": 300}
BLOBS = {"name": "blobs", "size": 310}
NORM = {"decay": 0.9, "epsilon": 0.001}
EVERY_STATISTIC = {**NORM, "evaluation": ["moving", "recalibrated", "batch"]}

PIECEWISE = [
    "identity", "relu", "leaky_relu", "rrelu", "relu6", "hard_tanh", "hard_sigmoid", "hard_silu", "hard_shrink",
    "soft_shrink", "threshold", "squared_relu", "star_relu", "sparse_plus", "sparse_sigmoid",
]  # fmt: skip
EXPONENTIAL = [
    "sigmoid", "elu", "selu", "celu", "silu", "e_swish", "softplus", "log_sigmoid", "mish", "gaussian", "exponential",
    "elish",
]  # fmt: skip
TANH_GELU = {"kind": "gelu", "approximate": "tanh"}
HYPERBOLIC = [
    "tanh",
    "lecun_tanh",
    "tanh_shrink",
    "lisht",
    "phish",
    "tanh_exp",
    {"kind": "gelu", "approximate": "tanh"},
]
OTHERS = [
    "gelu", "erf", "serf", "softsign", "squareplus", "arcsinh", "arctan", "bent_identity", "isru", "isrlu", "sin",
    "cos", "sinc", "snake", "siren",
]  # fmt: skip
GATED = ["glu", "bilinear", "reglu", "geglu", "swiglu"]
DRAWN = [
    "critical", "depth_scaled", "gain_matched", "glorot_normal", "he_uniform", "kaiming_normal", "lecun_normal",
    "legacy_randn", "lsuv", "mup", "orthogonal", "scaled_normal", "siren", "sparse", "torch_default", "trunc_normal",
    "truncated_normal", "variance_scaling", "xavier_fan_in",
]  # fmt: skip

BASE = {
    "dataset": REGRESSION,
    "activation": ["tanh", "relu"],
    "initializer": "he_normal",
    "optimizer": {"kind": "sgd", "learning_rate": 0.01},
    "seeds": [3],
    "epochs": EPOCHS,
}

STUDIES: dict[str, dict[str, Any]] = {
    "piecewise": {"activation": PIECEWISE},
    "exponential": {"activation": EXPONENTIAL},
    "hyperbolic": {"activation": HYPERBOLIC},
    "others": {"activation": OTHERS},
    "gated": {"activation": GATED, "model": {"kind": "mlp", "hidden": [19, 12]}},
    "prelu": {"activation": ["prelu", "relu"], "loss": "mae"},
    "zeros": {"activation": ["tanh", "sigmoid", "relu", "cos"], "initializer": ["zeros", "ones", "constant"]},
    "initializers": {"activation": "tanh", "initializer": DRAWN, "model": {"kind": "mlp", "hidden": [24, 16]}},
    "mae": {"activation": ["relu", "tanh", "gelu"], "loss": "mae", "batch_size": 7},
    "large_batches": {"activation": ["relu", "tanh"], "batch_size": 100},
    "cross_entropy": {"dataset": BLOBS, "activation": ["relu", "tanh"], "batch_size": 20},
    "binary_cross_entropy": {"dataset": MOONS, "activation": ["relu", "silu"], "loss": "binary_cross_entropy"},
    "momentum": {"optimizer": {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": True}},
    "clipped": {"optimizer": {"kind": "sgd", "learning_rate": 0.05, "clip_norm": 0.1}},
    "decay": {"optimizer": {"kind": "sgd", "learning_rate": 0.02, "weight_decay": 0.1}},
    "adam": {"optimizer": {"kind": "adam", "learning_rate": 0.01}},
    "adam_clipped": {"optimizer": {"kind": "adam", "learning_rate": 0.01, "clip_norm": 0.2, "weight_decay": 0.01}},
    "adamw": {"optimizer": {"kind": "adamw", "learning_rate": 0.01}},
    "rmsprop": {"optimizer": {"kind": "rmsprop", "learning_rate": 0.005, "momentum": 0.5}},
    "adagrad": {"optimizer": {"kind": "adagrad", "learning_rate": 0.05}},
    "batch_norm": {"model": {"kind": "mlp", "hidden": [23, 9], "batch_norm": EVERY_STATISTIC}},
    "batch_norm_after": {"model": {"kind": "mlp", "hidden": [16, 33], "batch_norm": {**NORM, "position": "after"}}},
    "layer_norm": {"model": {"kind": "mlp", "hidden": [50, 7], "layer_norm": {"epsilon": 0.01}}, "loss": "mae"},
    "layer_norm_after": {"model": {"kind": "mlp", "hidden": [12, 12], "layer_norm": {"position": "after"}}},
    "dropout": {"model": {"kind": "mlp", "hidden": [50, 21], "dropout": 0.3}, "loss": "mae"},
    "residual": {"model": {"kind": "mlp", "hidden": [14, 14, 14], "residual": True}},
    "all_between": {
        "model": {"kind": "mlp", "hidden": [18, 18], "residual": True, "dropout": 0.2, "batch_norm": NORM},
        "activation": ["swiglu", "geglu"],
        "optimizer": {"kind": "adam", "learning_rate": 0.003},
    },
    "one_unit": {"model": {"kind": "mlp", "hidden": [1, 2, 3]}, "batch_size": 1},
    "large": {"model": {"kind": "mlp", "hidden": [280, 250]}, "batch_size": 128, "activation": ["relu", "sigmoid"]},
    "deep": {"model": {"kind": "mlp", "hidden": [16] * 12}, "initializer": "lecun_normal"},
}  # fmt: skip
"""Changes to `BASE`."""


def epoch_rows(document: dict[str, Any], library: ctypes.CDLL | None = None) -> list[dict[str, list[float]]]:
    """The metrics of every epoch, from the untrained network on, for all trials, as a worker stores them."""
    base = {
        "dataset": REGRESSION,
        "activation": ["tanh", "relu"],
        "initializer": "he_normal",
        "seeds": [3],
        "epochs": EPOCHS,
    }
    spec = ExperimentSpec.model_validate(
        {"optimizer": {"kind": "sgd", "learning_rate": 0.01}, **base, **document}
    ).resolved()
    assert spec.model is not None
    assert spec.loss is not None
    grid = expand(spec)
    arms = [(grid.arms[trial.arm_index], trial.seed) for trial in grid.trials]
    data = prepare(spec.dataset, Path())
    rows = Rows(data.x_train, data.y_train, data.x_validation, data.y_validation)
    plans = tuple(TrialPlan(arm.activation, arm.initializer, arm.optimizer, seed) for arm, seed in arms)
    description = CohortDescription(
        plans, spec.model, spec.loss, data.x_train.shape[1:], spec.outputs, grid.arms[0].batch_size, spec.epochs
    )
    engine = NativeEngine(description, draw_layers(description, data.x_train), rows, threads=2, library=library)
    scatter = 0.0 if description.classifies else target_scatter(rows.y_validation)
    by_epoch: list[dict[str, list[float]]] = []
    for epoch in range(EPOCHS + 1):
        training = engine.train_epoch(epoch, _go_on) if epoch else None
        validation = engine.evaluate(_go_on)
        assert validation is not None
        metrics = epoch_metrics(training, validation, description.outputs, scatter)
        metrics |= other_metrics(validation, description.outputs, scatter)
        by_epoch.append({name: values.tolist() for name, values in metrics.items()})
    return by_epoch


def digest(rows: list[dict[str, list[float]]]) -> str:
    """Sixteen hexadecimal digits of all bits; what is not finite is stored as null, and counts as NaN."""
    hashed = hashlib.sha256()
    for row in rows:
        for name in sorted(row):
            values = np.array(row[name], dtype="<f8")
            hashed.update(name.encode() + np.where(np.isfinite(values), values, np.nan).tobytes())
    return hashed.hexdigest()[:16]


def digests(library: ctypes.CDLL | None = None) -> dict[str, str]:
    """The digest of every study's epoch rows."""
    return {name: digest(epoch_rows(document, library)) for name, document in STUDIES.items()}


def _go_on(_share: float) -> bool:
    return False


def main() -> None:
    """Print or write the digests, by the kernel of a library or by the one that this machine chooses."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kernel", help="a compiled kernel")
    parser.add_argument("--write", action="store_true", help="write digests.json")
    parser.add_argument("--rows", help="print the epoch rows of one study instead")
    options = parser.parse_args()
    library = declared(ctypes.CDLL(options.kernel)) if options.kernel else None
    if options.rows:
        sys.stdout.write(json.dumps(epoch_rows(STUDIES[options.rows], library), indent=1) + "\n")
        return
    text = json.dumps(digests(library), indent=2) + "\n"
    if options.write:
        DIGESTS.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
