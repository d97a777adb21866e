"""What the kernel measures of the layers, beside what PyTorch measures of the same state."""

from typing import Any

import numpy as np
import pytest

from services.science.diagnostics import HISTOGRAM_EDGES, Diagnostics
from services.science.streams import Purpose, stream
from services.training.diagnostics import Probe
from services.training.engine import Rows
from services.training.initial import draw_layers
from services.training.native.engine import NativeEngine
from services.training.observer import LayerReport
from tests.support.training import class_rows, described, engine_of, regression_rows

PLAIN = ["relu", "sigmoid", "prelu", "gelu", "hard_sigmoid", "softplus"]

NETWORKS = {
    "plain": {},
    "batch norm before": {"batch_norm": {"position": "before"}},
    "batch norm after": {"batch_norm": {"position": "after"}},
    "layer norm before": {"layer_norm": {"position": "before"}},
    "layer norm after": {"layer_norm": {"position": "after"}},
    "dropout": {"dropout": 0.4},
    "residual": {"hidden": [8, 8, 8], "residual": True},
    "everything": {"hidden": [8, 8], "batch_norm": {"position": "after"}, "dropout": 0.2, "residual": True},
}


def both(document: dict[str, Any], rows: Rows, outputs: int = 1) -> list[tuple[LayerReport, LayerReport]]:
    """The kernel's and PyTorch's report of every layer before and after an epoch."""
    document = {"initializer": ["he_normal", "random_normal"], "batch_size": 16, "epochs": 1, "seeds": 2, **document}
    description = described(document, rows, outputs)
    initial = draw_layers(description, rows.x_train)
    engine = engine_of(description, rows, "native")
    assert isinstance(engine, NativeEngine)
    probes = [Probe(description, Diagnostics(), initial, rows, "cpu", own) for own in (engine, None)]
    healthy = np.arange(len(description.trials)) != 1
    reports: list[tuple[LayerReport, LayerReport]] = []
    before = None
    for epoch in (0, 1):
        if epoch:
            before = engine.parameters()
            assert engine.train_epoch(1, lambda _fraction: False).whole
        state = engine.state()
        reports += zip(*(probe.measure(state, before, healthy) for probe in probes), strict=True)
    assert {report.slot for report, _ in reports} == set(np.flatnonzero(healthy))
    return reports


def compare(reports: list[tuple[LayerReport, LayerReport]], samples: int) -> None:
    for own, other in reports:
        assert (own.slot, own.layer, own.layer_index) == (other.slot, other.layer, other.layer_index)
        assert own.values.keys() == other.values.keys()
        for name, number in other.values.items():
            if name == "histogram":
                counts, expected = (
                    np.cumsum([item["below"], *item["counts"], item["above"]]) for item in (own.values[name], number)
                )
                assert counts[-1] == expected[-1]
                # Values within rounding of an edge may fall to either side; next to 0 lie the tails of gelu.
                zero = HISTOGRAM_EDGES.index(0.0)
                assert np.abs(np.delete(counts - expected, zero)).max() <= 2
                assert np.abs(counts - expected)[zero] <= samples // 40
            elif name == "saturated_fraction":
                assert own.values[name] == pytest.approx(number, abs=2.0 / samples)
            elif number is None:
                assert own.values[name] is None, name
            else:
                assert own.values[name] == pytest.approx(number, rel=2e-4, abs=2e-6), name


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("rows", [(300, 700), (50, 75)], ids=["many rows", "few rows"])
def test_the_kernel_measures_what_pytorch_measures(kind: str, rows: tuple[int, int]) -> None:
    model = {"kind": "mlp", "hidden": [7, 19], **NETWORKS[kind]}
    compare(both({"model": model, "activation": PLAIN}, regression_rows(*rows)), 7 * min(128, rows[1]))


@pytest.mark.parametrize("kind", ["plain", "batch norm before", "layer norm after"])
def test_gated_units(kind: str) -> None:
    model = {"kind": "mlp", "hidden": [7, 9], **NETWORKS[kind]}
    compare(both({"model": model, "activation": ["swiglu", "reglu"]}, regression_rows(300, 400)), 7 * 128)


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_cross_entropy", "cross_entropy"])
def test_every_loss(loss: str) -> None:
    classes = {"binary_cross_entropy": 2, "cross_entropy": 4}.get(loss)
    rows = regression_rows(200, 150) if classes is None else class_rows(200, 150, classes=classes)
    document = {"model": {"kind": "mlp", "hidden": [6]}, "activation": ["tanh", "relu"], "loss": loss}
    if classes is not None:
        document["dataset"] = {2: "two_moons", 4: "blobs"}[classes]
    compare(both(document, rows, 4 if classes == 4 else 1), 6 * 128)


def test_a_network_without_hidden_layers() -> None:
    compare(both({"model": {"kind": "mlp", "hidden": []}, "activation": "relu"}, regression_rows(200, 150)), 128)


def test_numbers_that_are_not_finite_are_none_and_counted_in_the_last_bins() -> None:
    rows = regression_rows(60, 40)
    for row, number in ((3, np.inf), (5, -np.inf), (7, np.nan)):
        rows.x_validation[row] = [number, 0.0, 0.0, 0.0, 0.0]
    document = {"model": {"kind": "mlp", "hidden": [6]}, "activation": "identity", "initializer": "he_normal"}
    for own, other in both(document, rows):
        assert own.values["pre_activation_mean"] is other.values["pre_activation_mean"] is None
        assert own.values.get("histogram") == other.values.get("histogram")


def test_a_state_is_measured_as_it_was_given_while_the_cohort_goes_on() -> None:
    rows = regression_rows(200, 150)
    description = described({"activation": ["tanh", "relu"], "initializer": "he_normal", "epochs": 2, "seeds": 2}, rows)
    engine = engine_of(description, rows, "native")
    probe = Probe(description, Diagnostics(), draw_layers(description, rows.x_train), rows, "cpu", engine)
    state, healthy = engine.state(), np.ones(len(description.trials), dtype=np.bool_)
    first = probe.measure(state, None, healthy)
    assert engine.train_epoch(1, lambda _fraction: False).whole
    assert probe.measure(state, None, healthy) == first
    assert probe.measure(engine.state(), None, healthy) != first


def test_every_value_is_counted_between_its_edges() -> None:
    edges = np.array(HISTOGRAM_EDGES, dtype=np.float32)
    beside = [np.nextafter(edges, np.float32(way)) for way in (-np.inf, np.inf)]
    rng = stream(31, Purpose.SYNTHETIC)
    spread = (rng.normal(size=600) * np.exp(rng.normal(0.0, 5.0, size=600))).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-37, -1e-37], dtype=np.float32)
    values = np.concatenate([edges, *beside, spread, special])
    values = values[(values == 0.0) | ~(np.abs(values) < np.finfo(np.float32).tiny)]  # the kernel has no subnormals
    # The activation is the identity, and so is the weight of the one hidden unit.
    document = {"model": {"kind": "mlp", "hidden": [1]}, "activation": "identity", "initializer": "ones"}
    counts = np.zeros(len(edges) + 1, dtype=np.int64)
    for first in range(0, len(values), 100):
        few = Rows(*[values[first : first + 100, None]] * 4)
        description = described({**document, "epochs": 1, "seeds": 1}, few)
        engine = engine_of(description, few, "native")
        probe = Probe(description, Diagnostics(quantities=("histogram",)), (), few, "cpu", engine)
        (hidden, _) = probe.measure(engine.state(), None, np.ones(1, dtype=np.bool_))
        item = hidden.values["histogram"]
        counts += [item["below"], *item["counts"], item["above"]]
    ordered = np.sort(values)
    below = [0, *np.searchsorted(ordered, edges, side="left"), len(values)]
    np.testing.assert_array_equal(counts, np.diff(below))
