"""Expected and measured numbers of untrained networks, side by side in the reports of epoch 0."""

import numpy as np
import pytest

from services.science.diagnostics import Diagnostics
from services.training.diagnostics import Probe
from services.training.initial import draw_layers
from services.training.observer import LayerReport
from tests.support.training import described, engine_of, regression_rows

ROWS = regression_rows(train=300, validation=600)


def untrained(diagnostics: Diagnostics | None = None, epoch: int = 0, **changes: object) -> list[LayerReport]:
    document = {
        "activation": ["tanh", "relu", "selu"],
        "initializer": ["he_normal", "lecun_normal"],
        "model": {"kind": "mlp", "hidden": [200, 250]},
        "epochs": 1,
        "seeds": 2,
        **changes,
    }
    description = described(document, ROWS)
    initial = draw_layers(description, ROWS.x_train)
    probe = Probe(description, diagnostics or Diagnostics(), initial, ROWS, "cpu")
    engine = engine_of(description, ROWS)
    before = engine.parameters() if epoch else None
    return list(probe.measure(engine.state(), before, np.ones(len(description.trials), dtype=bool)))


def test_wide_untrained_networks_are_as_expected() -> None:
    reports = untrained()
    outputs = {report.slot: report for report in reports if report.layer_index == 2}
    forward, backward = [], []
    for report in reports:
        if report.layer_index == 2:
            continue
        values = report.values
        second = values["pre_activation_variance"] + values["pre_activation_mean"] ** 2
        forward.append(np.log(second / values["predicted_second_moment"]))
        ratio = values["backward_second_moment"] / outputs[report.slot].values["backward_second_moment"]
        backward.append(np.log(ratio / values["predicted_backward_ratio"]))
    assert len(forward) == 3 * 2 * 2 * 2
    assert np.abs(forward).max() < 0.5
    assert abs(np.mean(forward)) < 0.1
    # One output unit: the gradient's scale is that of one draw of its 250 weights.
    assert np.abs(backward).max() < 0.6
    assert outputs[0].values["predicted_backward_ratio"] == 1.0


def test_only_untrained_networks_and_wanted_quantities_have_expectations() -> None:
    only = untrained(Diagnostics(quantities=("moments",)))
    assert all("predicted_second_moment" in report.values for report in only)
    assert not any("predicted_backward_ratio" in report.values for report in only)
    assert not any(name.startswith("predicted") for report in untrained(epoch=1) for name in report.values)


def test_no_number_is_none() -> None:
    reports = untrained(activation="exponential", initializer={"kind": "scaled_normal", "scale": 50.0}, seeds=1)
    assert reports[-1].values["predicted_second_moment"] is None


@pytest.mark.parametrize("kind", ["relu", "swiglu"])
def test_gated_units_too(kind: str) -> None:
    reports = untrained(activation=kind, initializer="lecun_normal", seeds=1)
    first = reports[0].values
    second = first["pre_activation_variance"] + first["pre_activation_mean"] ** 2
    assert second == pytest.approx(first["predicted_second_moment"], rel=0.3)
