"""What every optimizer and every schedule of the catalogue promises."""

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

import services.science.optimizers as family
from services.science.base import Member
from services.science.optimizers import OPTIMIZERS, SCHEDULES, BaseOptimizer, BaseSchedule, Optimizer
from services.science.optimizers.schedules import Schedule

OPTIMIZER: TypeAdapter[BaseOptimizer] = TypeAdapter(Optimizer)
SCHEDULE: TypeAdapter[BaseSchedule] = TypeAdapter(Schedule)


def subclasses(cls: type) -> set[type]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


@pytest.mark.parametrize(("base", "members"), [(BaseOptimizer, OPTIMIZERS), (BaseSchedule, SCHEDULES)])
def test_every_class_in_the_folder_is_in_the_union(base: type, members: dict[str, type]) -> None:
    for module in pkgutil.iter_modules(family.__path__, f"{family.__name__}."):
        importlib.import_module(module.name)
    assert {cls for cls in subclasses(base) if "kind" in vars(cls).get("__annotations__", {})} == set(members.values())


@pytest.mark.parametrize(
    ("adapter", "kind"), [*((OPTIMIZER, kind) for kind in OPTIMIZERS), *((SCHEDULE, kind) for kind in SCHEDULES)]
)
def test_a_member_is_a_described_frozen_value_that_survives_json(adapter: TypeAdapter[Member], kind: str) -> None:
    member = adapter.validate_python(kind)
    assert member.kind == kind
    assert member.label() == kind
    assert adapter.validate_json(member.model_dump_json()) == member
    with pytest.raises(ValidationError, match="frozen"):
        member.kind = "other"
    assert type(member).__doc__
    assert member.formula
    assert member.references


TORCH: dict[str, tuple[Any, dict[str, str]]] = {
    "sgd": (torch.optim.SGD, {"momentum": "momentum", "nesterov": "nesterov", "weight_decay": "weight_decay"}),
    "adam": (torch.optim.Adam, {"learning_rate": "lr", "epsilon": "eps", "weight_decay": "weight_decay"}),
    "adamw": (torch.optim.AdamW, {"learning_rate": "lr", "epsilon": "eps", "weight_decay": "weight_decay"}),
    "rmsprop": (
        torch.optim.RMSprop,
        {
            "learning_rate": "lr",
            "decay": "alpha",
            "epsilon": "eps",
            "momentum": "momentum",
            "weight_decay": "weight_decay",
        },
    ),
    "adagrad": (
        torch.optim.Adagrad,
        {
            "learning_rate": "lr",
            "learning_rate_decay": "lr_decay",
            "initial_accumulator": "initial_accumulator_value",
            "epsilon": "eps",
            "weight_decay": "weight_decay",
        },
    ),
}


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_defaults_are_those_of_torch_but_for_the_learning_rate_of_sgd(kind: str) -> None:
    cls, names = TORCH[kind]
    theirs = inspect.signature(cls).parameters
    ours = OPTIMIZER.validate_python(kind)
    assert {name: getattr(ours, name) for name in names} == {name: theirs[names[name]].default for name in names}
    if kind in {"adam", "adamw"}:
        assert (ours.parameters()["beta_1"], ours.parameters()["beta_2"]) == theirs["betas"].default
    assert OPTIMIZER.validate_python("sgd").learning_rate == 0.01


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "sgd", "learning_rate": -0.1}, "greater than or equal to 0"),
        ({"kind": "sgd", "learning_rate": float("nan")}, "finite number"),
        ({"kind": "sgd", "nesterov": True}, "nesterov needs a momentum above 0"),
        ({"kind": "sgd", "momentum": 1.0}, "less than 1"),
        ({"kind": "sgd", "clip_norm": 0.0}, "greater than 0"),
        ({"kind": "adam", "epsilon": 0.0}, "greater than 0"),
        ({"kind": "adam", "momentum": 0.9}, "Extra inputs are not permitted"),
        ({"kind": "sgd", "schedule": "warm"}, "'constant', 'cosine', 'exponential', 'linear', 'step'"),
        ("sdg", "'adagrad', 'adam', 'adamw', 'rmsprop', 'sgd'"),
    ],
)
def test_parameters_are_bounded(spec: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OPTIMIZER.validate_python(spec)


def test_a_label_names_what_differs_from_the_defaults() -> None:
    member = OPTIMIZER.validate_python(
        {"kind": "sgd", "learning_rate": 0.5, "schedule": {"kind": "cosine", "warmup_epochs": 3}, "clip_norm": 1}
    )
    assert member.label() == "sgd(learning_rate=0.5, schedule=cosine(warmup_epochs=3), clip_norm=1)"
