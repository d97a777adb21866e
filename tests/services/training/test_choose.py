"""Which engine trains what."""

import numpy as np
import pytest

from services.science.streams import Purpose, stream
from services.training import choose
from services.training.engine import CohortDescription, Rows
from services.training.loop import TrainingRun
from tests.support.training import Kept, described, engine_of, regression_rows, train

ROWS = regression_rows()
PLAIN = {"activation": ["relu", "tanh"], "initializer": "he_normal", "epochs": 3, "seeds": 1}
NORMED = {**PLAIN, "activation": ["relu", "prelu"], "model": {"kind": "mlp", "batch_norm": True, "dropout": 0.5}}
CONVOLVED = {**PLAIN, "dataset": "mnist", "model": {"kind": "cnn", "blocks": [[2]], "dense": []}}


def pictures() -> tuple[CohortDescription, Rows]:
    x = stream(0, Purpose.SYNTHETIC).normal(size=(30, 1, 4, 4)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0.0).astype(np.int64)
    rows = Rows(x[:20], y[:20], x[20:], y[20:])
    return described(CONVOLVED, rows, outputs=2), rows


def test_auto_takes_the_kernel_where_it_can() -> None:
    assert engine_of(described(PLAIN, ROWS), ROWS, "auto").name == "native"
    assert engine_of(described(NORMED, ROWS), ROWS, "auto").name == "native"
    assert engine_of(*pictures(), "auto").name == "eager"
    assert engine_of(described(PLAIN, ROWS), ROWS, "eager").name == "eager"


def test_without_a_compiler_pytorch_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_description: CohortDescription) -> str:
        return "no compiler"

    monkeypatch.setattr(choose, "unsupported", refuse)
    assert engine_of(described(PLAIN, ROWS), ROWS, "auto").name == "eager"
    with pytest.raises(ValueError, match="no compiler"):
        engine_of(described(PLAIN, ROWS), ROWS, "native")


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValueError, match="the kernel has multilayer perceptrons only, not cnn"):
        engine_of(*pictures(), "native")
    with pytest.raises(ValueError, match="must be auto, native or eager"):
        engine_of(described(PLAIN, ROWS), ROWS, "fast")  # type: ignore[arg-type]


def test_pytorch_goes_on_from_a_state_of_the_kernel() -> None:
    description = described({**PLAIN, "optimizer": "adam"}, ROWS)
    whole = train(description, ROWS, Kept(keep_states=True), "native")
    rest = Kept()
    run = TrainingRun(engine_of(description, ROWS), description, ROWS, rest)
    run.resume(1, whole.states[1])
    assert run.run() == "done"
    np.testing.assert_allclose(rest.metric("val_loss"), whole.metric("val_loss")[2:], rtol=1e-4)
