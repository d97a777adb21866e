"""The cost model: counts that can be checked by hand, and the directions it must have."""

from dataclasses import replace
from typing import Any

import pytest

from services.errors import GridTooLargeError
from services.experiments import plan
from services.experiments.plan import Prepared
from services.quotes import cost
from services.quotes.machine import ASSUMED, Machine
from services.science import grid
from services.science.limits import MOST_LANES
from services.science.spec import ExperimentSpec
from services.settings import Settings


def spec(**changes: object) -> ExperimentSpec:
    base = {"dataset": "digits", "activation": "relu", "initializer": "he_uniform", "epochs": 10, "seeds": 4}
    return ExperimentSpec.model_validate({**base, **changes}).resolved()


def load(machine: Machine = ASSUMED, **changes: Any) -> cost.Load:
    parsed = spec(**changes)
    expanded = grid.expand(parsed)
    return cost.load(parsed, expanded, tuple(range(len(expanded.trials))), machine)


def test_parameters_are_weights_and_biases() -> None:
    assert load().parameters == 65 * 50 + 51 * 50 + 51 * 10
    assert load(dataset="diamonds", model={"kind": "mlp", "hidden": []}).parameters == 7


def test_two_classes_have_one_output_under_binary_cross_entropy() -> None:
    circles = {"dataset": "coursera_circles", "model": {"kind": "mlp", "hidden": [10, 5]}}
    assert load(**circles).parameters == 3 * 10 + 11 * 5 + 6 * 2
    assert load(**circles, loss="binary_cross_entropy").parameters == 3 * 10 + 11 * 5 + 6


def test_gated_units_are_counted_twice_as_wide() -> None:
    # 64 inputs to 2 x 50 pre-activations, 50 units to 2 x 50 again, 50 units to 10 outputs.
    assert load(activation="geglu").parameters == 65 * 100 + 51 * 100 + 51 * 10


def test_more_work_costs_more() -> None:
    base = load()
    assert load(epochs=20).seconds > base.seconds
    assert load(seeds=8).seconds > base.seconds
    assert load(model={"kind": "mlp", "hidden": [500, 500]}).seconds > base.seconds
    assert load(batch_size=8).seconds > base.seconds
    assert load(seeds=8).memory_bytes > base.memory_bytes
    assert load(optimizer="adam").memory_bytes > base.memory_bytes
    assert load(batch_size=256).memory_bytes > base.memory_bytes


def test_every_epoch_costs_the_same_and_the_untrained_network_is_measured_once() -> None:
    ten, hundred, thousand = (load(epochs=epochs, diagnostics=None).seconds for epochs in (10, 100, 1000))
    assert (thousand - hundred) == pytest.approx(10 * (hundred - ten))
    assert ASSUMED.startup_seconds < ten < ASSUMED.startup_seconds + (hundred - ten) / 8


def test_a_plan_cuts_the_grid_to_the_width() -> None:
    prepared = Prepared(spec(seeds=10), Settings(cohort_width=4))
    assert sorted(len(positions) for positions in prepared.cohorts) == [3, 3, 4]
    assert sorted(sum(prepared.cohorts, ())) == list(range(10))


def test_large_networks_train_in_narrower_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    large = spec(model={"kind": "mlp", "hidden": [2000] * 4}, activation=["relu", "tanh"], seeds=20)
    whole = Prepared(large, Settings(), lanes=1)
    assert max(map(len, whole.cohorts)) < 40
    assert (
        whole.memory_bytes
        <= load(model={"kind": "mlp", "hidden": [2000] * 4}, seeds=1).memory_bytes + plan.COHORT_BYTES
    )
    assert sorted(sum(whole.cohorts, ())) == list(range(40))
    monkeypatch.setattr(plan, "COHORT_BYTES", 1)
    assert {len(positions) for positions in Prepared(large, Settings()).cohorts} == {1}
    monkeypatch.setattr(plan, "MEMORY_SHARE", 1e-6)
    with pytest.raises(GridTooLargeError, match="one trial needs"):
        Prepared(large, Settings())


def test_large_data_do_not_part_a_cohort_of_small_networks() -> None:
    many = spec(dataset={"name": "gaussian_inputs", "size": 1_000_000}, seeds=40)
    prepared = Prepared(many, Settings(), lanes=1)
    assert len(prepared.cohorts) == 1
    assert prepared.memory_bytes > 4 * 500 * 1_000_000


def test_a_small_machine_trains_narrower_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    small = spec(seeds=40)
    alone, whole = load(seeds=1).memory_bytes, Prepared(small, Settings()).memory_bytes
    total = plan.psutil.virtual_memory().total
    monkeypatch.setattr(plan, "MEMORY_SHARE", (alone + 0.3 * (whole - alone)) / total)
    assert len(Prepared(small, Settings()).cohorts) > 1


def test_too_many_trials_are_counted_and_refused_before_they_are_built() -> None:
    with pytest.raises(GridTooLargeError, match="1000 trials"):
        Prepared(spec(seeds=1000), Settings(max_trials=999))


def test_convolutions_and_normalisations_are_counted() -> None:
    convolutions = (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128) * 9
    dense = 4 * 4 * 128 * 128 + 128 * 10
    channels = 2 * (32 + 64 + 128) + 128
    biases, scales = channels + 10, 2 * channels
    assert load(dataset="cifar10").parameters == convolutions + dense + biases + scales
    assert load(model={"kind": "mlp", "batch_norm": True}).parameters == load().parameters + 2 * 2 * 50
    assert load(model={"kind": "deep_mlp", "depth": 3, "width": 7}).parameters == 65 * 7 + 2 * 8 * 7 + 8 * 10


def test_a_convolutional_cohort_on_one_thread_holds_the_activations_of_one_trial() -> None:
    one, ten = load(dataset="cifar10", seeds=1), load(dataset="cifar10", seeds=10)
    assert ten.memory_bytes < 2 * one.memory_bytes
    assert ten.seconds - ASSUMED.startup_seconds == pytest.approx(10 * (one.seconds - ASSUMED.startup_seconds))


def test_every_further_way_to_validate_batch_norm_costs() -> None:
    ways = [["moving"], ["moving", "batch"], ["moving", "batch", "recalibrated"]]
    seconds = [load(model={"kind": "mlp", "batch_norm": {"evaluation": way}}).seconds for way in ways]
    assert seconds == sorted(set(seconds))


def test_what_stands_between_dense_layers_costs_little_in_the_kernel() -> None:
    plain = load(epochs=1000).seconds
    for model in ({"dropout": 0.2}, {"batch_norm": True}, {"layer_norm": True, "dropout": 0.5}):
        assert plain < load(epochs=1000, model={"kind": "mlp", **model}).seconds < 1.5 * plain
    assert plain < load(epochs=1000, activation="glu").seconds < 3 * plain


def test_images_hold_the_activations_of_a_trial_for_each_lane() -> None:
    images = {"dataset": "cifar10", "model": "cnn", "batch_size": 512}

    def held(seeds: int, threads: float) -> int:
        return load(**images, seeds=seeds, machine=replace(ASSUMED, threads=threads)).memory_bytes

    one = held(8, 1.0)
    lane = held(8, 2.0) - one
    assert 0.9 * 2**30 < lane < 1.5 * 2**30, "measured: 1.0 GiB for each further lane"
    assert held(8, 3.0) - one == pytest.approx(2 * lane, rel=1e-6)
    assert held(8, 64.0) == held(8, MOST_LANES)
    assert held(1, 2.0) == held(1, 1.0)


def test_effective_ranks_of_wide_layers_cost_as_often_as_they_are_measured() -> None:
    wide: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [512]}, "epochs": 8}
    plain = load(**wide, diagnostics=None).seconds
    cubes = 4 * (64**3 + 10**3)  # trials, and the smaller sides of 64 x 512 and 512 x 10
    often = [load(**wide, diagnostics={"schedule": schedule}).seconds - plain for schedule in ("log", "every")]
    assert often == pytest.approx([times * cubes * ASSUMED.rank_seconds for times in (5, 9)])
    assert load(**wide, diagnostics={"quantities": ["moments"]}).seconds == plain
    wider: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [600, 600]}}
    without = load(**wider, diagnostics=None).seconds
    assert load(**wider).seconds - without == pytest.approx(6 * cubes * ASSUMED.rank_seconds)  # 600 x 600 has none
