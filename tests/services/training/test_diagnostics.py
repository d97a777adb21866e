"""Layer diagnostics against NumPy recomputations from the parameters alone."""

from typing import Any

import numpy as np
import pytest

from services.science.activations import BaseActivation
from services.science.diagnostics import HISTOGRAM_EDGES, Diagnostics
from services.science.spec import ExperimentSpec
from services.science.streams import Purpose, stream
from services.training import diagnostics as module
from services.training import network_signals
from services.training.choose import Choice
from services.training.diagnostics import Probe, steepest_slope
from services.training.engine import CohortDescription, LayerParameters, Rows
from services.training.initial import draw_layers
from services.training.layer_statistics import distinct_units, effective_ranks, relative_changes
from services.training.loop import TrainingRun
from services.training.measuring import Measuring
from services.training.observer import LayerReport
from tests.support.training import Kept, class_rows, described, engine_of, regression_rows

DOCUMENT = {
    "activation": ["tanh", "relu", "sigmoid", "leaky_relu"],
    "initializer": ["he_normal", "torch_default"],
    "optimizer": "adam",
    "model": {"kind": "mlp", "hidden": [7, 6]},
    "seeds": 2,
}
ROWS = regression_rows(train=300, validation=900)


BOTH = pytest.mark.parametrize("engine", ["eager", "native"])
"""What trains a cohort also runs the rows through its layers."""


def measured(
    document: dict[str, Any], rows: Rows, diagnostics: Diagnostics, engine: Choice = "eager", *, aside: bool = False
) -> tuple[CohortDescription, Kept]:
    description = described(document, rows)
    built = engine_of(description, rows, engine, threads=2)
    probe = Probe(description, diagnostics, draw_layers(description, rows.x_train), rows, "cpu", built)
    observer = Kept(keep_states=True)
    TrainingRun(built, description, rows, observer, Measuring(probe, aside=aside)).run()
    return description, observer


def parameters_of(state: dict[str, np.ndarray], slot: int) -> list[tuple[np.ndarray, np.ndarray]]:
    names = ("dense_0", "dense_1", "dense_2")
    return [
        (
            state[f"parameters.{name}.weight"][slot].astype(np.float64),
            state[f"parameters.{name}.bias"][slot].astype(np.float64),
        )
        for name in names
    ]


def forward(
    layers: list[tuple[np.ndarray, np.ndarray]], activation: BaseActivation, x: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    pre, post = [], [x.astype(np.float64)]
    for index, (weight, bias) in enumerate(layers):
        pre.append(post[-1] @ weight + bias)
        post.append(activation.value(pre[-1]) if index < len(layers) - 1 else pre[-1])
    return pre, post


@BOTH
def test_every_number_is_what_numpy_finds(engine: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIGNAL_ROWS", 100)
    monkeypatch.setattr(module, "PROBE_ROWS", 64)
    description, observer = measured({**DOCUMENT, "epochs": 2}, ROWS, Diagnostics(schedule="every"), engine)
    for epoch, (report, state) in enumerate(zip(observer.reports, observer.states, strict=True)):
        assert len(report.diagnostics) == 3 * len(description.trials)
        for item in report.diagnostics:
            trial = description.trials[item.slot]
            layers = parameters_of(state, item.slot)
            index, got = item.layer_index, item.values
            assert item.layer == f"dense_{index}"
            pre, post = forward(layers, trial.activation, ROWS.x_validation[:100])
            assert got["pre_activation_mean"] == pytest.approx(pre[index].mean(), abs=1e-5)
            assert got["pre_activation_variance"] == pytest.approx(pre[index].var(), rel=1e-4)
            check_reach(got, forward(layers, trial.activation, ROWS.x_validation)[0][2] if index == 2 else None)
            check_gradients(got, layers, trial.activation, index)
            assert got["effective_rank"] == pytest.approx(shannon_rank(layers[index][0]), rel=1e-4)
            if epoch:
                before = parameters_of(observer.states[epoch - 1], item.slot)[index][0]
                change = np.linalg.norm(layers[index][0] - before) / np.linalg.norm(before)
                assert got["update_ratio"] == pytest.approx(change, rel=1e-4)
            else:
                assert "update_ratio" not in got
            if index < 2:
                check_activations(got, pre[index], post[index + 1], trial.activation)
                every_pre, _ = forward(layers, trial.activation, ROWS.x_validation)
                dead = (trial.activation.derivative(every_pre[index]) == 0.0).all(axis=0).mean()
                assert got["dead_fraction"] == pytest.approx(dead)
                assert (got["units"], got["distinct_units"]) == ([7, 6][index], [7, 6][index])


def check_activations(got: dict[str, Any], pre: np.ndarray, post: np.ndarray, activation: BaseActivation) -> None:
    assert got["activation_mean"] == pytest.approx(post.mean(), abs=1e-5)
    assert got["activation_variance"] == pytest.approx(post.var(), rel=1e-4)
    counts, _ = np.histogram(post.astype(np.float32), bins=np.array(HISTOGRAM_EDGES, dtype=np.float32))
    assert sum(got["histogram"]["counts"]) + got["histogram"]["below"] + got["histogram"]["above"] == post.size
    # A value within rounding of an edge may fall to either side.
    assert np.abs(np.cumsum(got["histogram"]["counts"]) - np.cumsum(counts)).max() <= 1
    flat = np.abs(activation.derivative(pre)) < 0.05 * np.abs(activation.derivative(np.linspace(-3, 3, 1201))).max()
    assert got["saturated_fraction"] == pytest.approx(flat.mean(), abs=2.0 / pre.size)


def check_reach(got: dict[str, Any], outputs: np.ndarray | None) -> None:
    names = ("output_min", "output_max", "target_min", "target_max")
    if outputs is None:
        assert not set(names) & set(got)
        return
    target = ROWS.y_validation
    expected = (outputs.min(), outputs.max(), target.min(), target.max())
    assert tuple(got[name] for name in names) == pytest.approx(expected, rel=1e-4)


def check_gradients(
    got: dict[str, Any], layers: list[tuple[np.ndarray, np.ndarray]], activation: BaseActivation, index: int
) -> None:
    pre, post = forward(layers, activation, ROWS.x_train[:64])
    delta = np.sign(post[-1] - ROWS.y_train[:64])
    for layer in (2, 1, 0):
        if layer == index:
            gradient = post[layer].T @ delta / 64
            assert got["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-3)
            assert got["gradient_variance"] == pytest.approx(gradient.var(), rel=1e-3)
            assert got["backward_second_moment"] == pytest.approx((delta**2).mean(), rel=1e-3)
        if layer:
            delta = (delta @ layers[layer][0].T) * activation.derivative(pre[layer - 1])


def shannon_rank(weight: np.ndarray) -> float:
    share = np.linalg.svd(weight, compute_uv=False)
    share = share[share > 0] / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


@BOTH
def test_measuring_changes_no_number_and_follows_the_schedule(engine: Choice) -> None:
    rows = regression_rows()
    document = {**DOCUMENT, "epochs": 9}
    _, plain = measured(document, rows, Diagnostics(schedule=(100,)), engine)
    _, probed = measured(document, rows, Diagnostics(), engine)
    assert [report.epoch for report in probed.reports if report.diagnostics] == [0, 1, 2, 4, 8, 9]
    assert not any(report.diagnostics for report in plain.reports)
    for name in ("train_loss", "val_loss"):
        np.testing.assert_array_equal(plain.metric(name), probed.metric(name))


@BOTH
def test_measuring_aside_finds_the_same(engine: Choice) -> None:
    document = {**DOCUMENT, "activation": ["tanh", "relu"], "epochs": 9}
    rows = regression_rows()
    _, at_once = measured(document, rows, Diagnostics(schedule="every"), engine)
    _, aside = measured(document, rows, Diagnostics(schedule="every"), engine, aside=True)
    assert [report.diagnostics for report in aside.reports] == [report.diagnostics for report in at_once.reports]


def test_what_kept_the_layers_from_being_measured_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("no layers today")

    monkeypatch.setattr(Probe, "measure", fail)
    _, observer = measured(DOCUMENT | {"epochs": 2}, regression_rows(), Diagnostics(), aside=True)
    with pytest.raises(ArithmeticError, match="no layers today"):
        assert observer.reports[0].diagnostics


@BOTH
@pytest.mark.parametrize("late", [51, 200, 899])
def test_dead_units_are_found_and_a_late_row_brings_one_to_life(
    late: int, engine: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIGNAL_ROWS", 50)
    monkeypatch.setattr(network_signals, "PIECE", 300)
    x = np.abs(ROWS.x_validation) + np.float32(0.1)
    x[late, 1] = -50.0
    rows = Rows(ROWS.x_train, ROWS.y_train, x, ROWS.y_validation)
    document = {"activation": "relu", "initializer": "zeros", "model": {"kind": "mlp", "hidden": [5]}, "seeds": 1}
    description = described({**document, "epochs": 1}, rows)
    weight = np.zeros((1, 5, 5), dtype=np.float32)
    weight[0, 0] = [1.0, -1.0, -1.0, 0.0, 0.0]  # alive, dead, dead
    weight[0, 1, 3:] = [-1.0, 1.0]  # alive in the late row only, alive
    initial = draw_layers(description, rows.x_train)
    initial = (LayerParameters("dense_0", weight, initial[0].bias), *initial[1:])
    state = {"parameters.dense_0.weight": weight, "parameters.dense_0.bias": initial[0].bias}
    state |= {"parameters.dense_1.weight": initial[1].weight, "parameters.dense_1.bias": initial[1].bias}
    built = engine_of(description, rows, engine)
    probe = Probe(description, Diagnostics(quantities=("dead_units",)), initial, rows, "cpu", built)
    hidden, output = probe.measure(state, None, np.array([True]))
    assert hidden == LayerReport(0, "dense_0", 0, {"dead_fraction": pytest.approx(0.4)})
    assert output.values == {}


@BOTH
@pytest.mark.parametrize("validation", [1, 100, 128, 129])
def test_dead_units_of_few_validation_rows(validation: int, engine: Choice) -> None:
    rows = regression_rows(train=40, validation=validation)
    document = {**DOCUMENT, "activation": "relu", "initializer": "zeros", "epochs": 1}
    _, observer = measured(document, rows, Diagnostics(quantities=("dead_units",)), engine)
    fractions = [row.values["dead_fraction"] for row in observer.reports[0].diagnostics if row.values]
    assert fractions
    assert set(fractions) == {1.0}


@BOTH
def test_gated_cohorts_are_measured_too(engine: Choice) -> None:
    document = {**DOCUMENT, "activation": ["swiglu", "reglu"], "epochs": 1}
    _, observer = measured(document, ROWS, Diagnostics(), engine)
    first = observer.reports[0].diagnostics[0].values
    assert (first["units"], first["distinct_units"]) == (7, 7)
    assert "saturated_fraction" not in first
    assert 0.0 <= first["dead_fraction"] <= 1.0


@BOTH
def test_symmetry_is_never_broken_from_zeros_and_diverged_trials_are_left_out(engine: Choice) -> None:
    document = {**DOCUMENT, "activation": "sigmoid", "initializer": ["zeros", "he_normal"], "epochs": 4, "seeds": 1}
    _, observer = measured(document, ROWS, Diagnostics(schedule="every"), engine)
    for report in observer.reports:
        for item in report.diagnostics:
            if item.layer_index < 2:
                assert item.values["distinct_units"] == (1 if item.slot == 0 else item.values["units"])
    wild = {"kind": "sgd", "learning_rate": [1e4, 0.01]}
    document = {
        **DOCUMENT,
        "optimizer": wild,
        "activation": "relu",
        "initializer": "he_normal",
        "loss": "mse",
        "epochs": 3,
        "seeds": 1,
    }
    _, observer = measured(document, ROWS, Diagnostics(schedule="every"), engine)
    assert {item.slot for item in observer.reports[0].diagnostics} == {0, 1}
    assert {item.slot for item in observer.reports[3].diagnostics} == {1}


def test_classes_have_no_reach() -> None:
    document = {**DOCUMENT, "dataset": "digits", "loss": "cross_entropy", "epochs": 1}
    rows = class_rows()
    description = described(document, rows, outputs=3)
    engine = engine_of(description, rows)
    evaluated = engine.evaluate(lambda _: False)
    assert evaluated is not None
    assert evaluated.reach is None
    probe = Probe(description, Diagnostics(), draw_layers(description, rows.x_train), rows, "cpu")
    healthy = np.ones(len(description.trials), dtype=bool)
    for report in probe.measure(engine.state(), None, healthy, evaluated.reach):
        assert not {"output_min", "output_max", "target_min", "target_max"} & set(report.values)


@BOTH
def test_the_reach_is_that_of_every_validation_row(engine: Choice) -> None:
    rows = regression_rows(40, 4133)  # more than the kernel evaluates at a stretch
    x = rows.x_validation.copy()
    x[4132] = 30.0
    x[2100] = -30.0
    rows = Rows(rows.x_train, rows.y_train, x, rows.y_validation)
    description = described({**DOCUMENT, "epochs": 1}, rows)
    built = engine_of(description, rows, engine, threads=2)
    evaluated = built.evaluate(lambda _: False)
    assert evaluated is not None
    assert evaluated.reach is not None
    state: dict[str, Any] = built.state()
    for slot, (trial, low, high) in enumerate(zip(description.trials, *evaluated.reach, strict=True)):
        outputs = forward(parameters_of(state, slot), trial.activation, x)[0][-1]
        assert (low, high) == pytest.approx((outputs.min(), outputs.max()), rel=1e-5)


def test_distinct_units_counts_classes() -> None:
    weight = np.array([[[1.0, 1.0, 2.0, 1.0 + 1e-9, -1.0, 1.0]], [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]])
    bias = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.6]] * 2)
    assert distinct_units(weight, bias, 1) == [4, 6]
    assert distinct_units(weight, bias, 2) == [3, 3]
    assert distinct_units(np.zeros((2, 3, 4)), np.zeros((2, 4)), 1) == [1, 1]
    assert distinct_units(np.ones((1, 3, 1)), np.ones((1, 1)), 1) == [1]


def test_effective_ranks_of_known_matrices() -> None:
    outer = np.outer(np.arange(1.0, 5.0), np.arange(1.0, 5.0))
    ruined = np.full((4, 4), np.nan)
    ranks = effective_ranks(np.stack([np.eye(4), outer, np.zeros((4, 4)), ruined, np.diag([1.0, 2.0, 0.0, 0.0])]))
    assert ranks[:2] == pytest.approx([4.0, 1.0], abs=1e-5)
    assert ranks[2:4] == [None, None]
    assert ranks[4] == pytest.approx(3.0 / 2.0 ** (2 / 3))  # shares 1/3 and 2/3
    wide = stream(5, Purpose.SYNTHETIC).normal(size=(2, 3, 7))
    assert effective_ranks(wide) == pytest.approx([shannon_rank(matrix) for matrix in wide])


def test_relative_changes() -> None:
    before = np.array([[[3.0, 0.0], [0.0, 4.0]], np.zeros((2, 2))])
    assert relative_changes(before, before + 1.0) == [pytest.approx(2.0 / 5.0), None]


def test_steepest_slopes() -> None:
    described_ones = described(
        {"activation": ["sigmoid", "tanh", "relu"], "initializer": "zeros", "epochs": 1, "seeds": 1}, ROWS
    )
    slopes = [steepest_slope(trial.activation) for trial in described_ones.trials]
    assert slopes == pytest.approx([0.25, 1.0, 1.0])


def test_the_spec_knows_null_from_left_out() -> None:
    document = {"dataset": "digits", "activation": "relu", "initializer": "he_normal", "epochs": 3, "seeds": 1}
    default = ExperimentSpec.model_validate(document)
    none = ExperimentSpec.model_validate({**document, "diagnostics": None})
    assert default.diagnostics == Diagnostics()
    for spec in (default, none):
        assert ExperimentSpec.model_validate(spec.canonical()).diagnostics == spec.diagnostics
    assert default.digest() == none.digest()


def test_schedules() -> None:
    assert [epoch for epoch in range(11) if Diagnostics().due(epoch, 10)] == [0, 1, 2, 4, 8, 10]
    assert [epoch for epoch in range(11) if Diagnostics(schedule=(3, 7)).due(epoch, 10)] == [3, 7]
    with pytest.raises(ValueError, match="stands twice"):
        Diagnostics(schedule=(3, 3))
