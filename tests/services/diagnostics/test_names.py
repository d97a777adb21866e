"""The names that can be filtered by are exactly those that are measured."""

import numpy as np

from services.diagnostics.pages import NAMES
from services.science.diagnostics import Diagnostics
from services.training.diagnostics import Probe
from services.training.initial import draw_layers
from tests.support.training import described, engine_of, regression_rows


def test_every_measured_number_has_its_name_here() -> None:
    rows = regression_rows(train=60, validation=40)
    document = {"activation": "relu", "initializer": "he_normal", "epochs": 1, "seeds": 1}
    description = described(document, rows)
    probe = Probe(description, Diagnostics(), draw_layers(description, rows.x_train), rows, "cpu")
    engine = engine_of(description, rows)
    healthy = np.ones(1, dtype=bool)
    evaluation = engine.evaluate(lambda _: False)
    assert evaluation is not None
    reports = [
        *probe.measure(engine.state(), None, healthy, evaluation.reach),
        *probe.measure(engine.state(), engine.parameters(), healthy),
    ]
    assert {name for report in reports for name in report.values} == set(NAMES)
