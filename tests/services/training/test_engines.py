"""Both engines: fused against alone, reruns, resumption, isolation of divergence, symmetry."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from services.science.optimizers import OPTIMIZERS
from services.training import loop
from services.training.choose import Choice
from services.training.eager import EagerEngine
from services.training.engine import CohortDescription, Rows
from services.training.initial import draw_layers
from services.training.loop import TrainingRun
from services.training.network import StackedNetwork
from services.training.updates import UPDATES
from tests.support.training import Kept, alone, class_rows, described, engine_of, regression_rows, train

GRID = {
    "activation": ["tanh", "relu", "sigmoid", {"kind": "leaky_relu", "negative_slope": 0.2}],
    "initializer": ["he_normal", "glorot_uniform"],
    "model": {"kind": "mlp", "hidden": [16, 12]},
    "seeds": [3, 5],
    "epochs": 3,
}


@pytest.fixture(params=["eager", "native"])
def engine(request: pytest.FixtureRequest) -> Choice:
    return request.param


OPTIMIZER_CASES = [
    {"kind": "sgd", "learning_rate": [0.05, 0.01]},
    {"kind": "sgd", "learning_rate": 0.02, "momentum": [0.0, 0.9], "weight_decay": 0.01},
    {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.8, "nesterov": [True, False], "clip_norm": 0.5},
    {"kind": "adam", "learning_rate": [0.01, 0.001], "beta_1": 0.8},
    {"kind": "adamw", "weight_decay": [0.0, 0.1]},
    {"kind": "rmsprop", "momentum": [0.0, 0.5], "learning_rate": 0.002},
    {"kind": "adagrad", "learning_rate_decay": [0.0, 0.01], "initial_accumulator": 0.1},
]


def regression(**changes: object) -> tuple[CohortDescription, Rows]:
    rows = regression_rows()
    return described({**GRID, **changes}, rows), rows


def classification(**changes: object) -> tuple[CohortDescription, Rows]:
    rows = class_rows()
    return described({**GRID, "dataset": "digits", **changes}, rows, outputs=3), rows


def assert_same(one: Kept, other: Kept) -> None:
    for a, b in zip(one.reports, other.reports, strict=True):
        assert a.metrics.keys() == b.metrics.keys()
        for name, values in a.metrics.items():
            np.testing.assert_array_equal(values, b.metrics[name], err_msg=f"{name}, epoch {a.epoch}")


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case["kind"])
def test_every_trial_of_a_cohort_is_what_it_is_alone(case: dict[str, object], engine: Choice) -> None:
    description, rows = regression(optimizer=case)
    fused = train(description, rows, engine=engine)
    for slot in range(len(description.trials)):
        single = train(alone(description, [slot]), rows, engine=engine)
        for name in ("train_loss", "val_loss", "val_rmse", "val_r2"):
            np.testing.assert_allclose(
                single.metric(name)[:, 0], fused.metric(name)[:, slot], rtol=1e-5, atol=1e-6, err_msg=name
            )


def test_every_optimizer_of_the_catalogue_has_an_update() -> None:
    assert UPDATES.keys() == OPTIMIZERS.keys()
    assert {str(case["kind"]) for case in OPTIMIZER_CASES} == OPTIMIZERS.keys()


TORCH_OPTIMIZERS = [
    ({"kind": "sgd", "learning_rate": 0.03}, torch.optim.SGD, {"lr": 0.03}),
    (
        {"kind": "sgd", "learning_rate": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        torch.optim.SGD,
        {"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    ({"kind": "adam", "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    ({"kind": "adamw", "learning_rate": 0.01}, torch.optim.AdamW, {"lr": 0.01}),
    ({"kind": "rmsprop", "momentum": 0.5}, torch.optim.RMSprop, {"momentum": 0.5}),
    (
        {"kind": "adagrad", "learning_rate": 0.1, "learning_rate_decay": 0.1, "initial_accumulator": 0.2},
        torch.optim.Adagrad,
        {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2},
    ),
]


@pytest.mark.parametrize(("case", "optimizer", "arguments"), TORCH_OPTIMIZERS, ids=lambda v: str(v)[:40])
def test_updates_are_those_of_torch_optim(case: dict, optimizer: type, arguments: dict) -> None:
    flat = torch.linspace(-1.0, 1.0, 24).reshape(2, 12)
    own = flat.clone()
    update = UPDATES[case["kind"]]([OPTIMIZERS[case["kind"]].model_validate(case)] * 2, own, epochs=20)
    theirs = flat.clone().requires_grad_()
    reference = optimizer([theirs], **arguments)
    update.start_epoch(1)
    for step in range(20):
        gradient = torch.sin(theirs.detach() * 3.0 + step)
        theirs.grad = gradient.clone()
        reference.step()
        update.step(torch.sin(own * 3.0 + step))
        torch.testing.assert_close(own, theirs.detach(), rtol=2e-5, atol=1e-6)


def test_clipping_is_by_trial_and_as_torch_clips() -> None:
    flat = torch.ones(3, 4)
    limits = [None, 0.5, 1e9]
    optimizers = [OPTIMIZERS["sgd"].model_validate({"learning_rate": 1.0, "clip_norm": limit}) for limit in limits]
    update = UPDATES["sgd"](optimizers, flat, epochs=1)
    update.start_epoch(1)
    gradient = torch.tensor([3.0, 0.0, 4.0, 0.0])
    update.step(gradient.repeat(3, 1))
    parameter = torch.zeros(4, requires_grad=True)
    parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([parameter], 0.5)
    torch.testing.assert_close(1.0 - flat[0], gradient)
    torch.testing.assert_close(1.0 - flat[1], parameter.grad)
    torch.testing.assert_close(1.0 - flat[2], gradient)


def test_schedule_reaches_the_learning_rate() -> None:
    schedule = {"kind": "step", "step_size": 1, "gamma": 0.5}
    update = UPDATES["sgd"]([OPTIMIZERS["sgd"].model_validate({"schedule": schedule})], torch.zeros(1, 1), epochs=3)
    rates = []
    for epoch in (1, 2, 3):
        update.start_epoch(epoch)
        rates.append(update.learning_rate.item())
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


@pytest.mark.parametrize("model", [{"hidden": [6, 5, 5], "residual": True}, {"hidden": []}, {"hidden": [7]}])
def test_a_lone_network_without_its_trial_axis_is_the_same_network(model: dict[str, object]) -> None:
    description, rows = classification(
        model={"kind": "mlp", **model}, activation="tanh", initializer="he_normal", seeds=1
    )
    network = StackedNetwork(description, draw_layers(description, rows.x_train), "cpu")
    x = torch.from_numpy(rows.x_train[:9].reshape(9, -1)).unsqueeze(0)
    forms: list[list[torch.Tensor]] = []
    assert len(network.lone_leaves) == len(network.leaves)
    for leaves in (network.leaves, network.lone_leaves):
        outputs = network.forward(x, leaves=leaves)
        assert outputs.shape == (1, 9, description.outputs)
        forms.append([outputs, *torch.autograd.grad(outputs.square().sum(), leaves)])
    for stacked, lone in zip(*forms, strict=True):
        torch.testing.assert_close(lone.reshape(stacked.shape), stacked, rtol=1e-5, atol=1e-6)
    two, _ = classification(model={"kind": "mlp", **model}, activation="tanh", initializer="he_normal", seeds=2)
    assert not StackedNetwork(two, draw_layers(two, rows.x_train), "cpu").lone_leaves


@pytest.mark.parametrize("make", [regression, classification])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_rerun_is_bit_equal(
    make: Callable[..., tuple[CohortDescription, Rows]], threads: int, engine: Choice
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        description, rows = make(optimizer="adam", batch_size=7, epochs=2)
        first, second = (train(description, rows, engine=engine, threads=threads) for _ in range(2))
        assert_same(first, second)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case["kind"])
def test_resuming_after_any_epoch_is_bit_equal(case: dict[str, object], engine: Choice) -> None:
    schedule = {"kind": "cosine"}
    description, rows = regression(optimizer={**case, "schedule": schedule})
    whole = train(description, rows, Kept(keep_states=True), engine)
    for epoch in range(description.epochs):
        rest = Kept()
        run = TrainingRun(engine_of(description, rows, engine), description, rows, rest)
        run.resume(epoch, whole.states[epoch])
        assert run.run() == "done"
        for a, b in zip(whole.reports[epoch + 1 :], rest.reports, strict=True):
            for name, values in a.metrics.items():
                np.testing.assert_array_equal(values, b.metrics[name])


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case["kind"])
def test_a_part_resumes_from_the_state_of_the_whole_bit_for_bit(case: dict[str, object], engine: Choice) -> None:
    description, rows = regression(optimizer=case)
    whole = train(description, rows, Kept(keep_states=True), engine)
    slots = list(range(1, len(description.trials), 2))
    part = replace(description, trials=tuple(description.trials[slot] for slot in slots))
    rest = Kept()
    run = TrainingRun(engine_of(part, rows, engine), part, rows, rest)
    run.resume(1, {name: array[slots] for name, array in whole.states[1].items()})
    assert run.run() == "done"
    for a, b in zip(whole.reports[2:], rest.reports, strict=True):
        for name, values in a.metrics.items():
            np.testing.assert_array_equal(values[slots], b.metrics[name])


@pytest.mark.parametrize("case", OPTIMIZER_CASES, ids=lambda case: case["kind"])
def test_pytorch_keeps_what_rounding_takes_from_the_weights(case: dict[str, object]) -> None:
    description, rows = regression(optimizer=case)
    engine = engine_of(description, rows, "eager")
    assert isinstance(engine, EagerEngine)
    engine.train_epoch(1, lambda _: False)
    state: dict[str, Any] = engine.state()
    for layer in engine.parameters():
        weights, taken = (state[f"{kind}.{layer.name}.weight"] for kind in ("parameters", "residual"))
        assert taken.dtype == np.float64
        assert 0.0 < np.abs(taken).max() <= np.spacing(np.abs(weights).max()) / 2.0
        np.testing.assert_array_equal((weights + taken).astype(np.float32), layer.weight)


def test_a_checkpoint_without_what_rounding_took_is_refused() -> None:
    description, rows = regression()
    engine = engine_of(description, rows, "eager")
    old = {name: array for name, array in engine.state().items() if not name.startswith("residual.")}
    with pytest.raises(ValueError, match=r"differs in residual\.dense_0\.bias"):
        engine.load_state(old)


def test_pytorch_goes_on_from_what_the_kernel_left() -> None:
    description, rows = regression()
    native = engine_of(description, rows, "native")
    native.train_epoch(1, lambda _: False)
    eager = engine_of(description, rows, "eager")
    eager.load_state(native.state())
    ours: dict[str, Any] = eager.state()
    theirs: dict[str, Any] = native.state()
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-7, err_msg=name)


def test_a_pause_in_a_short_epoch_finishes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LONG_EPOCH_SECONDS", 3600.0)
    description, rows = regression()
    observer = Kept(stop_when=lambda epoch, fraction: epoch == 2 and fraction > 0.3)
    run = TrainingRun(engine_of(description, rows), description, rows, observer)
    assert run.run() == "stopped"
    assert run.epoch == 2


def test_a_state_of_another_cohort_is_refused(engine: Choice) -> None:
    description, rows = regression()
    other, _ = regression(model={"kind": "mlp", "hidden": [4]})
    with pytest.raises(ValueError, match=r"does not fit|has shape"):
        engine_of(description, rows, engine).load_state(engine_of(other, rows, engine).state())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_diverging_trial_leaves_its_neighbours_bit_identical(optimizer: str, engine: Choice) -> None:
    rates = {"kind": optimizer, "learning_rate": [0.01, 0.02], "clip_norm": 5.0}
    calm, rows = regression(optimizer=rates, epochs=4, activation=["relu", "tanh"], seeds=[0])
    wild_slot = 5
    trials = list(calm.trials)
    wild_optimizer = trials[wild_slot].optimizer.model_copy(update={"learning_rate": 1e38, "clip_norm": None})
    wild_plan = type(trials[0])(trials[5].activation, trials[5].initializer, wild_optimizer, trials[5].seed)
    trials[wild_slot] = wild_plan
    wild = CohortDescription(tuple(trials), *list(vars(calm).values())[1:])
    expected, got = train(calm, rows, engine=engine), train(wild, rows, engine=engine)
    divergences = [(report.epoch, item) for report in got.reports for item in report.diverged]
    assert [(epoch, item.slot) for epoch, item in divergences] == [(1, wild_slot)]
    assert divergences[0][1].layer in {"dense_0", "dense_1", "dense_2", "loss"}
    others = [slot for slot in range(len(trials)) if slot != wild_slot]
    for name in expected.reports[0].metrics:
        np.testing.assert_array_equal(expected.metric(name)[:, others], got.metric(name)[:, others])
        assert np.isnan(got.metric(name)[2:, wild_slot]).all()


def test_a_cohort_whose_trials_have_all_diverged_ends_early(engine: Choice) -> None:
    description, rows = regression(optimizer={"kind": "sgd", "learning_rate": 1e4}, loss="mse", epochs=50)
    observer = train(description, rows, engine=engine)
    assert len(observer.reports) < 51
    assert sum(len(report.diverged) for report in observer.reports) == len(description.trials)


def test_zeros_stay_symmetric_for_ever(engine: Choice) -> None:
    description, rows = classification(initializer="zeros", activation=["sigmoid", "tanh"], epochs=5)
    observer = train(description, rows, Kept(keep_states=True), engine)
    for state in observer.states:
        weight = state["parameters.dense_0.weight"]
        np.testing.assert_array_equal(weight, np.broadcast_to(weight[:, :, :1], weight.shape))


def test_trials_start_from_their_own_seed_wherever_they_stand() -> None:
    description, rows = regression()
    turned = alone(description, list(reversed(range(len(description.trials)))))
    first, second = (engine_of(d, rows).parameters() for d in (description, turned))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight[::-1])


def test_gated_and_plain_activations_cannot_share_a_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    description, _ = regression()
    monkeypatch.setattr(type(description.trials[0].activation), "width_factor", 2)
    with pytest.raises(ValueError, match="cannot share a cohort"):
        _ = description.weight_layers
