"""What stands between the dense layers: the kernel beside the reference engine, and its own promises."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.science.streams import Purpose, second_word, stream
from services.training.engine import CohortDescription, Engine, Rows
from services.training.native.structures import kernel
from tests.support.training import alone, class_rows, described, engine_of, regression_rows

BEFORE = {"decay": 0.9, "epsilon": 0.01}
MODELS: list[dict[str, Any]] = [
    {"hidden": [7, 13], "dropout": 0.2},
    {"hidden": [50, 20], "batch_norm": BEFORE},
    {"hidden": [9, 17], "batch_norm": {"position": "after"}, "dropout": 0.4},
    {"hidden": [33, 5], "layer_norm": {"epsilon": 0.1}},
    {"hidden": [9, 9], "layer_norm": {"position": "after"}, "residual": True, "dropout": 0.1},
    {"hidden": [5, 5, 5, 3, 3], "residual": True},
    {"hidden": [6, 6, 6], "residual": True, "batch_norm": BEFORE, "dropout": 0.1},
]
PLAIN, LEARNED, GATED = ["tanh", "relu"], ["prelu", "tanh"], ["swiglu", "glu"]
CASES = [(model, PLAIN) for model in MODELS]
CASES += [({"hidden": [8, 6]}, LEARNED), ({"hidden": [8, 6]}, ["geglu", "bilinear", "reglu"])]
CASES += [(MODELS[4], LEARNED), (MODELS[6], LEARNED), (MODELS[2], GATED), (MODELS[6], ["reglu", "glu"])]
SLOW = 0.001
"""Learning rate of networks that explode at ten times as much: there, roundings grow with the losses."""
STATEFUL = [CASES[2], CASES[6], CASES[10], CASES[12]]


def cohort(case: tuple[dict[str, Any], list[str]], **changes: Any) -> tuple[CohortDescription, Rows]:
    model, activations = case
    explodes = activations == CASES[-1][1] and bool(model.get("residual"))
    document = {
        "model": {"kind": "mlp", **model},
        "activation": activations,
        "initializer": "glorot_uniform",
        "optimizer": {"kind": "sgd", "learning_rate": SLOW if explodes else 0.01},
        "loss": "mse",
        "seeds": [3, 8],
        "epochs": 3,
        "batch_size": 32,
        **changes,
    }
    rows = class_rows(train=150) if document["loss"] == "cross_entropy" else regression_rows(train=150)
    if document["loss"] == "cross_entropy":
        document["dataset"] = "digits"
    return described(document, rows, 3 if document["loss"] == "cross_entropy" else 1), rows


def quiet(_share: float) -> bool:
    return False


def number(array: np.ndarray) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(array, dtype=np.float64)


def trained(engine: Engine, epochs: list[int]) -> list[np.ndarray]:
    losses = []
    for epoch in epochs:
        sums = engine.train_epoch(epoch, quiet)
        assert sums is not None
        losses.append(sums.loss)
    return losses


def assert_equal(ours: Any, theirs: Any) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("first", [0, 5])
def test_random_numbers_are_numpys_to_the_bit(first: int) -> None:
    halves = np.zeros(8 * 200, dtype=np.uint32)
    seed, epoch = 2**63 + 12345, 7
    kernel().firstlight_draw(seed, second_word(Purpose.DROPOUT, epoch), first, 200, halves.ctypes.data)
    expected = stream(seed, Purpose.DROPOUT, epoch).random(8 * (first + 200), dtype=np.float32)[8 * first :]
    np.testing.assert_array_equal((halves >> 8).astype(np.float32) / np.float32(2**24), expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{'-'.join(case[0])}-{case[1][0]}")
@pytest.mark.parametrize(("batch", "loss"), [(32, "mse"), (7, "cross_entropy"), (100, "mse")])
def test_both_engines_agree(case: tuple[dict[str, Any], list[str]], batch: int, loss: str) -> None:
    description, rows = cohort(case, batch_size=batch, loss=loss)
    ours, theirs = (engine_of(description, rows, choice) for choice in ("native", "eager"))
    for epoch in (1, 2):
        np.testing.assert_allclose(trained(ours, [epoch]), trained(theirs, [epoch]), rtol=1e-5)
        one, other = ours.evaluate(quiet), theirs.evaluate(quiet)
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-5)
    states = ours.state(), theirs.state()
    assert states[0].keys() == states[1].keys()
    for name, array in states[1].items():
        if not name.startswith("residual."):
            np.testing.assert_allclose(number(states[0][name]), number(array), rtol=1e-4, atol=2e-5, err_msg=name)


RULES = [
    {"kind": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.01, "clip_norm": 0.5},
    {"kind": "adam", "learning_rate": 0.003, "clip_norm": 0.5},
    {"kind": "adagrad", "learning_rate": 0.02, "initial_accumulator": 0.1},
]


@pytest.mark.parametrize("case", [CASES[2], CASES[4], CASES[7], CASES[9]], ids=lambda case: "-".join(case[0]))
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["kind"])
def test_every_optimizer_moves_scales_and_slopes_too(case: tuple[dict[str, Any], list[str]], rule: Any) -> None:
    description, rows = cohort(case, optimizer=rule)
    ours, theirs = (engine_of(description, rows, choice) for choice in ("native", "eager"))
    np.testing.assert_allclose(trained(ours, [1, 2]), trained(theirs, [1, 2]), rtol=1e-5)
    one, other = ours.state(), theirs.state()
    start = engine_of(description, rows, "native").state()
    for name in one:
        if name.startswith("parameters.") and name.endswith((".gamma", ".beta", ".activation")):
            np.testing.assert_allclose(number(one[name]), number(other[name]), atol=1e-4, err_msg=name)
            assert not np.array_equal(one[name], start[name])


@pytest.mark.parametrize("rows_of_a_batch", [20, 64])
def test_three_ways_to_evaluate_batch_norm(rows_of_a_batch: int) -> None:
    model = {"hidden": [9, 6], "batch_norm": {"evaluation": ["recalibrated", "batch", "moving"]}, "dropout": 0.2}
    description, rows = cohort((model, PLAIN), batch_size=rows_of_a_batch)
    sums_by_engine = []
    for choice in ("native", "eager"):
        engine = engine_of(description, rows, choice)
        trained(engine, [1, 2])
        sums_by_engine.append(engine.evaluate(quiet))
    ours, theirs = sums_by_engine
    assert list(ours.others) == list(theirs.others) == ["batch", "moving"]
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-5)
    for kind, sums in theirs.others.items():
        np.testing.assert_allclose(ours.others[kind].loss, sums.loss, rtol=1e-5)
        np.testing.assert_allclose(ours.others[kind].squared, sums.squared, rtol=1e-5)


@pytest.mark.parametrize("case", STATEFUL, ids=lambda case: "-".join(case[0]))
def test_bits_do_not_depend_on_threads_neighbours_or_a_pause(case: tuple[dict[str, Any], list[str]]) -> None:
    description, rows = cohort(case, optimizer="adam")
    whole = engine_of(description, rows, "native", threads=1)
    losses = trained(whole, [1, 2])
    again = engine_of(description, rows, "native", threads=3)
    np.testing.assert_array_equal(trained(again, [1]), losses[:1])
    resumed = engine_of(description, rows, "native", threads=2)
    resumed.load_state(again.state())
    np.testing.assert_array_equal(trained(resumed, [2]), losses[1:])
    assert_equal(whole.state(), resumed.state())
    one, other = whole.evaluate(quiet), resumed.evaluate(quiet)
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.loss, other.loss)
    for slot in range(len(description.trials)):
        single = trained(engine_of(alone(description, [slot]), rows, "native"), [1, 2])
        np.testing.assert_array_equal(np.array(single)[:, 0], np.array(losses)[:, slot])


def test_a_diverging_trial_leaves_its_neighbours_and_its_statistics_alone() -> None:
    calm, rows = cohort(CASES[6])
    wild = replace(calm.trials[1], optimizer=calm.trials[1].optimizer.model_copy(update={"learning_rate": 1e38}))
    expected = engine_of(calm, rows, "native")
    got = engine_of(replace(calm, trials=(calm.trials[0], wild, *calm.trials[2:])), rows, "native", threads=2)
    losses, wild_losses = trained(expected, [1, 2]), trained(got, [1, 2])
    others = [0, 2, 3]
    assert not np.isfinite(wild_losses[-1][1])
    for one, other in zip(losses, wild_losses, strict=True):
        np.testing.assert_array_equal(one[others], other[others])
    ours, theirs = got.state(), expected.state()
    for name in theirs:
        np.testing.assert_array_equal(ours[name][others], theirs[name][others], err_msg=name)
    assert not got.finite()[1].all()
    assert got.finite()[others].all()


def test_masks_do_not_depend_on_how_an_epoch_is_cut() -> None:
    """An epoch longer than the stretch that a thread draws masks for."""
    case = ({"hidden": [40], "dropout": 0.5}, ["tanh"])
    description, _ = cohort(case, batch_size=1)
    rows = regression_rows(train=700)
    ours, theirs = (engine_of(description, rows, choice, threads=2) for choice in ("native", "eager"))
    np.testing.assert_allclose(trained(ours, [1]), trained(theirs, [1]), rtol=1e-5)


def test_a_network_without_hidden_layers_has_nothing_between() -> None:
    description, rows = cohort(({"hidden": [], "batch_norm": True, "dropout": 0.5, "residual": True}, ["tanh"]))
    ours, theirs = (engine_of(description, rows, choice) for choice in ("native", "eager"))
    np.testing.assert_allclose(trained(ours, [1]), trained(theirs, [1]), rtol=1e-5)


def test_a_large_network_agrees() -> None:
    """Parameters beyond the caches are read in longer chunks."""
    model = {"hidden": [260, 260], "batch_norm": {"position": "after"}, "dropout": 0.3}
    description, rows = cohort((model, ["tanh"]), batch_size=70)
    ours, theirs = (engine_of(description, rows, choice) for choice in ("native", "eager"))
    np.testing.assert_allclose(trained(ours, [1, 2]), trained(theirs, [1, 2]), rtol=1e-5)
