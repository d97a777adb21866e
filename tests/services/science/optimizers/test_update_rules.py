"""The update rules as the docstrings state them, in NumPy, against PyTorch's optimizers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from services.science.optimizers import BaseOptimizer, Optimizer

ADAPTER: TypeAdapter[BaseOptimizer] = TypeAdapter(Optimizer)
Rule = Callable[[np.ndarray, np.ndarray, dict[str, Any], dict[str, Any], int], np.ndarray]


def sgd(w: np.ndarray, g: np.ndarray, p: dict[str, Any], s: dict[str, Any], t: int) -> np.ndarray:
    g = g + p["weight_decay"] * w
    s["velocity"] = p["momentum"] * s.get("velocity", 0.0) + g
    step = g + p["momentum"] * s["velocity"] if p["nesterov"] else s["velocity"]
    return w - p["learning_rate"] * step


def adam(w: np.ndarray, g: np.ndarray, p: dict[str, Any], s: dict[str, Any], t: int) -> np.ndarray:
    if p["kind"] == "adamw":
        w = w - p["learning_rate"] * p["weight_decay"] * w
    else:
        g = g + p["weight_decay"] * w
    s["m"] = p["beta_1"] * s.get("m", 0.0) + (1 - p["beta_1"]) * g
    s["v"] = p["beta_2"] * s.get("v", 0.0) + (1 - p["beta_2"]) * g**2
    rate = p["learning_rate"] / (1 - p["beta_1"] ** t)
    return w - rate * s["m"] / (np.sqrt(s["v"]) / math.sqrt(1 - p["beta_2"] ** t) + p["epsilon"])


def rmsprop(w: np.ndarray, g: np.ndarray, p: dict[str, Any], s: dict[str, Any], t: int) -> np.ndarray:
    g = g + p["weight_decay"] * w
    s["v"] = p["decay"] * s.get("v", 0.0) + (1 - p["decay"]) * g**2
    s["b"] = p["momentum"] * s.get("b", 0.0) + g / (np.sqrt(s["v"]) + p["epsilon"])
    return w - p["learning_rate"] * s["b"]


def adagrad(w: np.ndarray, g: np.ndarray, p: dict[str, Any], s: dict[str, Any], t: int) -> np.ndarray:
    g = g + p["weight_decay"] * w
    s["s"] = s.get("s", p["initial_accumulator"]) + g**2
    rate = p["learning_rate"] / (1 + (t - 1) * p["learning_rate_decay"])
    return w - rate * g / (np.sqrt(s["s"]) + p["epsilon"])


CASES: list[tuple[dict[str, Any], Rule, Callable[[Any], Any]]] = [
    ({"kind": "sgd"}, sgd, lambda w: torch.optim.SGD(w, lr=0.01)),
    (
        {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1},
        sgd,
        lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
    (
        {"kind": "sgd", "momentum": 0.9, "nesterov": True},
        sgd,
        lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.9, nesterov=True),
    ),
    ({"kind": "adam"}, adam, torch.optim.Adam),
    ({"kind": "adam", "weight_decay": 0.1}, adam, lambda w: torch.optim.Adam(w, weight_decay=0.1)),
    ({"kind": "adamw"}, adam, torch.optim.AdamW),
    ({"kind": "rmsprop"}, rmsprop, torch.optim.RMSprop),
    (
        {"kind": "rmsprop", "momentum": 0.5, "weight_decay": 0.1},
        rmsprop,
        lambda w: torch.optim.RMSprop(w, momentum=0.5, weight_decay=0.1),
    ),
    ({"kind": "adagrad"}, adagrad, torch.optim.Adagrad),
    (
        {"kind": "adagrad", "learning_rate_decay": 0.1, "initial_accumulator": 0.5},
        adagrad,
        lambda w: torch.optim.Adagrad(w, lr_decay=0.1, initial_accumulator_value=0.5),
    ),
]


@pytest.mark.parametrize(("spec", "rule", "theirs"), CASES, ids=lambda item: "" if callable(item) else str(item)[:60])
def test_the_stated_rule_is_torchs(spec: dict[str, Any], rule: Rule, theirs: Callable[[Any], Any]) -> None:
    parameters = ADAPTER.validate_python(spec).model_dump()
    start = np.random.Generator(np.random.Philox(0)).normal(size=7)
    tensor = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = theirs([tensor])
    w, state = start, dict[str, Any]()
    for t in range(1, 21):
        optimizer.zero_grad()
        (torch.sin(3 * tensor) + tensor**2).sum().backward()
        optimizer.step()
        w = rule(w, 3 * np.cos(3 * w) + 2 * w, parameters, state, t)
        np.testing.assert_allclose(w, tensor.detach().numpy(), rtol=1e-10, atol=1e-12)
