"""From submission to report with the real child: equal units and the reach of the outputs are told of."""

from pathlib import Path

import pytest

from services.experiments.store import create, get
from services.figures.render import Renderer
from services.reports.report import collect, write
from services.science.spec import ExperimentSpec
from tests.support.workers import Workshop

SPEC = {
    "dataset": {"name": "teacher_student", "size": 300},
    "model": {"kind": "mlp", "hidden": [8, 6]},
    "activation": "tanh",
    "initializer": ["zeros", "glorot_uniform"],
    "epochs": 3,
    "seeds": 2,
}


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_equal_units_and_the_outputs_reach_are_told_of(workshop: Workshop, tmp_path: Path) -> None:
    workshop.worker(real=True)
    with workshop.database.write() as session:
        experiment = create(session, ExperimentSpec.model_validate(SPEC), workshop.settings).id
    assert workshop.wait(experiment) == "succeeded"
    with workshop.database.read() as session:
        warnings = get(session, experiment).warnings
        report = collect(session, experiment)
    assert len([text for text in warnings if "stay equal for the whole run" in text]) == 1
    (sentence,) = report.symmetry
    assert sentence.startswith("tanh · zeros: all units of dense_0 and dense_1 were still equal")
    assert "(epoch 3) of 2 of 2 trials" in sentence
    renderer = Renderer(tmp_path / "figures")
    try:
        page = write(report, renderer)
    finally:
        renderer.close()
    assert sentence in page
    flat, random = report.reach
    assert (flat.n, flat.epoch, flat.covered.partition(" %")[0]) == (2, "3", "0")
    assert float(random.covered.partition(" %")[0]) > 10
    assert f'<td class="n">{random.outputs}</td>' in page
