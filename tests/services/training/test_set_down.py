"""An epoch that is set down between two batches goes on bit for bit, wherever and how often that happens."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.science.diagnostics import Diagnostics
from services.science.streams import Purpose, stream
from services.training import checkpoint, loop
from services.training.checkpoint import Origin
from services.training.choose import Choice
from services.training.diagnostics import Probe
from services.training.engine import CohortDescription, Rows, no_sums
from services.training.initial import draw_layers
from services.training.loop import TrainingRun
from services.training.measuring import Measuring
from services.training.native import watch
from services.training.set_down import BATCHES, SECONDS
from tests.support.training import Kept, described, engine_of, regression_rows, train

Cohort = tuple[CohortDescription, Rows]
State = dict[str, np.ndarray]


def perceptrons(rows: Rows, **changes: Any) -> Cohort:
    document = {"activation": ["tanh", "relu"], "initializer": "he_normal", "seeds": [3, 5], "epochs": 3, **changes}
    return described(document, rows), rows


def normed(rows: Rows, **changes: Any) -> Cohort:
    """Batch norm, dropout whose numbers of a batch do not fill Philox's blocks, and a last batch that is shorter."""
    model = {"kind": "mlp", "hidden": [7, 5], "batch_norm": {"decay": 0.9}, "dropout": 0.3}
    return perceptrons(rows, model=model, optimizer="adam", loss="mse", **changes)


def doubtful(rows: Rows, **changes: Any) -> Cohort:
    """Under the absolute loss, with targets that the outputs meet: signs have to be settled in float64."""
    steps = replace(rows, y_train=np.round(rows.y_train), y_validation=np.round(rows.y_validation))
    optimizer = {"kind": "sgd", "learning_rate": [0.05, 0.01], "momentum": [0.9, 0.0]}
    return perceptrons(steps, model={"kind": "mlp", "hidden": [6]}, optimizer=optimizer, loss="mae", **changes)


def images() -> Cohort:
    rng = stream(13, Purpose.SYNTHETIC)
    x, y = rng.normal(size=(90, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, size=90)
    rows = Rows(x[:60], y[:60], x[60:], y[60:])
    model = {"kind": "cnn", "channels": [3, 4], "batch_norm": True, "dropout": 0.2}
    document = {"dataset": "digits", "activation": "tanh", "initializer": "he_normal", "optimizer": "adam"}
    return described({**document, "model": model, "seeds": 3, "epochs": 2, "batch_size": 8}, rows, outputs=3), rows


def many(make: Callable[..., Cohort]) -> Cohort:
    """For the kernel, which is watched now and then, and not at every batch."""
    return make(regression_rows(train=12_001, validation=50), batch_size=8, epochs=2)


CASES: dict[str, tuple[Choice, Callable[[], Cohort], int]] = {
    "eager norm and dropout": ("eager", lambda: normed(regression_rows(), batch_size=18), 1),
    "eager signs": ("eager", lambda: doubtful(regression_rows(), batch_size=16), 1),
    "eager images": ("eager", images, 2),
    "native norm and dropout": ("native", lambda: many(normed), 2),
    "native signs": ("native", lambda: many(doubtful), 2),
}


@pytest.fixture(autouse=True)
def long_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LONG_EPOCH_SECONDS", -1.0)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.001)


def assert_same(ours: State, theirs: State) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


def places(state: State) -> np.ndarray:
    return state.get(BATCHES, np.zeros(0, np.int64))


@pytest.mark.parametrize("case", CASES)
def test_an_epoch_that_is_set_down_again_and_again_ends_as_if_it_never_was(case: str) -> None:
    engine, make, threads = CASES[case]
    description, rows = make()
    whole = train(description, rows, Kept(keep_states=True), engine, threads)
    rng = stream(len(case), Purpose.SYNTHETIC)
    reports: list[Any] = []
    inside: list[State] = []
    last: tuple[int, State] | None = None
    for turn in count():
        stop_at = float(rng.uniform(0.05, 0.5)) if turn < 7 else 2.0
        begun: list[float] = []

        def stop(_epoch: int, share: float, begun: list[float] = begun, stop_at: float = stop_at) -> bool:
            begun.append(share)
            return share - begun[0] >= stop_at or share < begun[0]

        observer = Kept(True, stop_when=stop if turn < 7 else lambda *_: False, save_when=lambda *_: rng.random() < 0.1)
        run = TrainingRun(engine_of(description, rows, engine, threads), description, rows, observer)
        if last is not None:
            run.resume(*last)
        ended = run.run()
        last = run.epoch, run.state()
        reports += observer.reports
        inside += [state for _, state in observer.inside if places(state).any()]
        inside += [last[1]] if places(last[1]).any() else []
        if ended == "done":
            break
    in_all = no_sums(1, len(rows.x_train), description.batch_size, classifies=False).batches_in_all
    assert sum(bool((places(state) < in_all).any()) for state in inside) >= 3
    assert [report.epoch for report in reports] == list(range(description.epochs + 1))
    for ours, theirs in zip(reports, whole.reports, strict=True):
        assert_same(ours.metrics, theirs.metrics)
    assert_same(last[1], whole.states[-1])
    if threads > 1:
        assert any(len(set(places(state))) > 1 for state in inside), "slots stand at different batches"


def middle_of(cohort: Cohort, engine: Choice, threads: int = 1, measuring: Measuring | None = None) -> tuple[Kept, State]:
    """The reports up to the middle of the second epoch, and the state there."""
    observer = Kept(stop_when=lambda epoch, share: epoch == 2 and share > 0.3)
    run = TrainingRun(engine_of(*cohort, engine, threads), *cohort, observer, measuring)
    assert run.run() == "stopped"
    assert run.epoch == 1
    return observer, run.state()


@pytest.mark.parametrize("case", ["eager norm and dropout", "eager images", "native norm and dropout"])
def test_a_part_of_the_cohort_goes_on_from_the_middle_by_its_own_trials(case: str, tmp_path: Path) -> None:
    engine, make, threads = CASES[case]
    description, rows = make()
    whole = train(description, rows, engine=engine, threads=threads)
    _, state = middle_of((description, rows), engine, threads)
    names = tuple(("arm", slot) for slot in range(len(description.trials)))
    origin = Origin("spec", names, "data", engine)
    file = checkpoint.write(tmp_path, 1, state, origin)
    assert file.path.name == f"epoch-1-batches-{state[BATCHES].sum()}.npz"
    slots = [0, 2]
    part = replace(description, trials=tuple(description.trials[slot] for slot in slots))
    own = replace(origin, trials=tuple(names[slot] for slot in slots))
    rest = Kept()
    run = TrainingRun(engine_of(part, rows, engine, threads), part, rows, rest)
    run.resume(1, checkpoint.read(file.path, file.sha256, 1, own, slots))
    assert run.run() == "done"
    for ours, theirs in zip(rest.reports, whole.reports[2:], strict=True):
        assert_same(ours.metrics, {name: values[slots] for name, values in theirs.metrics.items()})


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_layers_are_compared_with_the_weights_at_the_beginning_of_the_epoch(engine: Choice) -> None:
    rows = regression_rows(train=12_001 if engine == "native" else 200, validation=50)
    cohort = perceptrons(rows, model={"kind": "mlp", "hidden": [6]}, batch_size=8)

    def measuring() -> Measuring:
        initial = draw_layers(cohort[0], rows.x_train)
        asked = Diagnostics.model_validate({"quantities": ["update_ratio"], "epochs": [2]})
        return Measuring(Probe(cohort[0], asked, initial, rows, "cpu", engine_of(*cohort, engine)), aside=False)

    undisturbed = Kept()
    TrainingRun(engine_of(*cohort, engine), *cohort, undisturbed, measuring()).run()
    _, state = middle_of(cohort, engine, measuring=measuring())
    rest = Kept()
    run = TrainingRun(engine_of(*cohort, engine), *cohort, rest, measuring())
    run.resume(1, state)
    assert run.run() == "done"
    assert rest.reports[0].diagnostics
    assert rest.reports[0].diagnostics == undisturbed.reports[2].diagnostics
    forgetful = {name: array for name, array in state.items() if not name.startswith("before.")}
    with pytest.raises(ValueError, match=r"differs in before\.dense_0\.bias"):
        TrainingRun(engine_of(*cohort, engine), *cohort, Kept(), measuring()).resume(1, forgetful)


def test_pytorch_goes_on_where_the_kernel_left_each_trial() -> None:
    cohort = many(lambda rows, **how: normed(rows, **how, activation=["tanh", "sigmoid"]))
    whole = train(*cohort, engine="native", threads=2)
    _, state = middle_of(cohort, "native", threads=2)
    state[BATCHES].flags.writeable = True
    assert len(set(state[BATCHES])) > 1
    rest = Kept()
    run = TrainingRun(engine_of(*cohort, "eager"), *cohort, rest)
    run.resume(1, state)
    assert run.run() == "done"
    for name, values in whole.reports[2].metrics.items():
        np.testing.assert_allclose(rest.reports[0].metrics[name], values, rtol=1e-3, err_msg=name)


def test_the_seconds_of_an_epoch_are_those_of_all_its_pieces() -> None:
    cohort = normed(regression_rows(), batch_size=18)
    _, state = middle_of(cohort, "eager")
    assert (state[SECONDS] > 0.0).all()
    rest = Kept()
    run = TrainingRun(engine_of(*cohort), *cohort, rest)
    run.resume(1, {**state, SECONDS: state[SECONDS] + 1e6})
    assert run.run() == "done"
    assert rest.reports[0].seconds > 1e6
    assert rest.reports[1].seconds < 1e6


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (BATCHES, lambda array: array + 1000, r"must lie in 0\.\.12, not 10"),
        (BATCHES, lambda array: array[:2], r"has shape \(2,\), this cohort's \(4,\)"),
        (SECONDS, lambda _array: None, r"differs in epoch\.seconds"),
    ],
)
def test_the_state_of_an_epoch_of_another_cohort_is_refused(name: str, change: Any, message: str) -> None:
    cohort = normed(regression_rows(), batch_size=18)
    _, state = middle_of(cohort, "eager")
    changed = {**state, name: change(state[name])}
    with pytest.raises(ValueError, match=message):
        run = TrainingRun(engine_of(*cohort), *cohort, Kept())
        run.resume(1, {key: array for key, array in changed.items() if array is not None})


def test_an_epoch_of_which_nothing_is_done_has_not_begun() -> None:
    cohort = normed(regression_rows())
    observer = Kept(stop_when=lambda epoch, _share: epoch == 2)
    run = TrainingRun(engine_of(*cohort), *cohort, observer)
    assert run.run() == "stopped"
    assert_same(run.state(), train(*cohort, Kept(keep_states=True)).states[1])
