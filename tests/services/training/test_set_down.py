"""An epoch that is set down between two batches goes on bit for bit, wherever and how often that happens."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.science.diagnostics import Diagnostics
from services.science.streams import Purpose, stream
from services.training import checkpoint, loop
from services.training.checkpoint import Origin
from services.training.choose import Choice
from services.training.diagnostics import Probe
from services.training.engine import CohortDescription, EpochSums, Rows, no_sums
from services.training.initial import draw_layers
from services.training.loop import TrainingRun
from services.training.measuring import Measuring
from services.training.native import watch
from services.training.observer import EpochReport
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


def rounded(targets: NDArray[Any]) -> NDArray[Any]:
    return targets.round()


def doubtful(rows: Rows, **changes: Any) -> Cohort:
    """Under the absolute loss, with targets that outputs meet: signs have to be settled in float64 at every batch."""
    steps = replace(rows, y_train=rounded(rows.y_train), y_validation=rounded(rows.y_validation))
    optimizer = {"kind": "sgd", "learning_rate": [0.05, 1e-6], "momentum": 0.9}
    changes |= {"optimizer": optimizer, "loss": "mae", "seeds": [3], "initializer": ["he_normal", "zeros"]}
    return perceptrons(steps, model={"kind": "mlp", "hidden": [6]}, **changes)


def images() -> Cohort:
    rng = stream(13, Purpose.SYNTHETIC)
    x, y = rng.normal(size=(90, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, size=90)
    rows = Rows(x[:60], y[:60], x[60:], y[60:])
    model = {"kind": "cnn", "blocks": [[3], [4]], "dense": [5], "batch_norm": True, "dropout": 0.2}
    document = {"dataset": "mnist", "activation": "tanh", "initializer": "he_normal", "optimizer": "adam"}
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


def set_down_in(
    cohort: Cohort,
    engine: Choice,
    threads: int = 1,
    *,
    after: tuple[int, State] | None = None,
    share: float = 0.3,
    epoch: int | None = None,
    measuring: Callable[[], Measuring | None] = lambda: None,
) -> tuple[Kept, tuple[int, State]]:
    """Train on, and stop inside the epoch (or the one given) when so much of it is done beyond what had been.

    The kernel is watched now and then: where it was done before the stop could reach it, that try does not count.
    """
    rng = stream(int(share * 1e6), Purpose.SYNTHETIC)
    for _ in range(500):
        seen: dict[int, list[float]] = {}

        def stop(at: int, done: float, seen: dict[int, list[float]] = seen) -> bool:
            if epoch is not None and at > epoch:
                return True
            shares = seen.setdefault(at, [])
            shares.append(done)
            trains = at > 0 and done == max(shares)  # the share falls where the validation begins
            return trains and at == (epoch or at) and done > shares[0] + share

        observer = Kept(keep_states=True, stop_when=stop, save_when=lambda *_: rng.random() < 0.1)
        run = TrainingRun(engine_of(*cohort, engine, threads), *cohort, observer, measuring())
        if after is not None:
            run.resume(*after)
        if run.run() == "stopped" and BATCHES in (state := run.state()) and not done_of(cohort, state).whole:
            return observer, (run.epoch, state)
    raise AssertionError("no stop has reached an epoch")


def done_of(cohort: Cohort, state: State) -> EpochSums:
    description, rows = cohort
    beginning = no_sums(len(description.trials), len(rows.x_train), description.batch_size, classifies=False)
    return replace(beginning, batches=state[BATCHES])


@pytest.mark.parametrize("case", CASES)
def test_an_epoch_that_is_set_down_again_and_again_ends_as_if_it_never_was(case: str) -> None:
    engine, make, threads = CASES[case]
    cohort = make()
    whole = train(*cohort, Kept(keep_states=True), engine, threads)
    rng = stream(len(case), Purpose.SYNTHETIC)
    reports: list[EpochReport] = []
    states: list[State] = []
    last: tuple[int, State] | None = None
    for share in rng.uniform(0.1, 0.3, size=5):
        if last is not None and last[0] + 1 == cohort[0].epochs and done_of(cohort, last[1]).share + share > 0.8:
            break
        first = (
            1 if last is None else None
        )  # or a quick kernel may be in its last epoch before the first stop reaches it
        observer, last = set_down_in(cohort, engine, threads, after=last, share=share, epoch=first)
        reports += observer.reports
        states += [state for _, state in observer.inside if BATCHES in state] + [last[1]]
    assert len(states) >= 2
    assert last is not None
    run = TrainingRun(engine_of(*cohort, engine, threads), *cohort, observer := Kept())
    run.resume(*last)
    assert run.run() == "done"
    reports += observer.reports
    assert [report.epoch for report in reports] == list(range(cohort[0].epochs + 1))
    for ours, theirs in zip(reports, whole.reports, strict=True):
        assert_same(ours.metrics, theirs.metrics)
    assert_same(run.state(), whole.states[-1])
    if threads > 1:
        assert any(len(set(state[BATCHES])) > 1 for state in states), "slots stand at different batches"


@pytest.mark.parametrize("case", ["eager signs", "eager images", "native norm and dropout"])
def test_a_part_of_the_cohort_goes_on_from_the_middle_by_its_own_trials(case: str, tmp_path: Path) -> None:
    engine, make, threads = CASES[case]
    description, rows = cohort = make()
    whole = train(description, rows, engine=engine, threads=threads)
    _, (epoch, state) = set_down_in(cohort, engine, threads, epoch=1)
    names = tuple(("arm", slot) for slot in range(len(description.trials)))
    origin = Origin("spec", names, "data", engine)
    file = checkpoint.write(tmp_path, epoch, state, origin)
    assert file.path.name == f"epoch-0-batches-{state[BATCHES].sum()}.npz"
    slots = [0, 2]
    part = replace(description, trials=tuple(description.trials[slot] for slot in slots))
    own = replace(origin, trials=tuple(names[slot] for slot in slots))
    rest = Kept()
    run = TrainingRun(engine_of(part, rows, engine, threads), part, rows, rest)
    run.resume(epoch, checkpoint.read(file.path, file.sha256, epoch, own, slots))
    assert run.run() == "done"
    exact = case != "eager signs"  # PyTorch rounds otherwise where other trials are stacked
    for ours, theirs in zip(rest.reports, whole.reports[1:], strict=True):
        for name, values in theirs.metrics.items():
            np.testing.assert_allclose(ours.metrics[name], values[slots], rtol=0.0 if exact else 1e-5, err_msg=name)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_layers_are_compared_with_the_weights_at_the_beginning_of_the_epoch(engine: Choice) -> None:
    rows = regression_rows(train=12_001 if engine == "native" else 200, validation=50)
    cohort = perceptrons(rows, model={"kind": "mlp", "hidden": [6]}, batch_size=8)

    def measuring() -> Measuring:
        initial = draw_layers(cohort[0], rows.x_train)
        second = Diagnostics.model_validate({"quantities": ["update_ratio"], "schedule": [2]})
        return Measuring(Probe(cohort[0], second, initial, rows, "cpu", engine_of(*cohort, engine)), aside=False)

    undisturbed = Kept()
    TrainingRun(engine_of(*cohort, engine), *cohort, undisturbed, measuring()).run()
    _, (_, state) = set_down_in(cohort, engine, epoch=2, measuring=measuring)
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
    rows = regression_rows(train=3_001, validation=50)
    cohort = normed(rows, activation=["tanh", "sigmoid"], batch_size=8, epochs=1)
    whole = train(*cohort, engine="native", threads=2)
    _, last = set_down_in(cohort, "native", threads=2, epoch=1)
    while len(set(last[1][BATCHES])) == 1:
        _, last = set_down_in(cohort, "native", threads=2, epoch=1)
    rest = Kept()
    run = TrainingRun(engine_of(*cohort, "eager"), *cohort, rest)
    run.resume(*last)
    assert run.run() == "done"
    np.testing.assert_array_equal(run.state()["steps"], 376)
    for name in ("train_loss", "val_loss"):
        np.testing.assert_allclose(rest.reports[0].metrics[name], whole.reports[1].metrics[name], rtol=1e-2)


@pytest.mark.parametrize("case", CASES)
def test_the_share_that_is_done_goes_on_from_where_it_was(case: str) -> None:
    engine, make, threads = CASES[case]
    cohort = make()
    _, (epoch, state) = set_down_in(cohort, engine, threads, epoch=1)
    shares: list[float] = []
    rest = Kept(stop_when=lambda _epoch, share: bool(shares.append(share)) or True)
    run = TrainingRun(engine_of(*cohort, engine, threads), *cohort, rest)
    run.resume(epoch, state)
    assert run.run() == "stopped"
    assert shares == pytest.approx([done_of(cohort, state).share])
    assert_same(run.state(), {**state, SECONDS: run.state()[SECONDS]})


def test_the_seconds_of_an_epoch_are_those_of_all_its_pieces() -> None:
    cohort = normed(regression_rows(), batch_size=18)
    _, (epoch, state) = set_down_in(cohort, "eager", epoch=2)
    assert (state[SECONDS] > 0.0).all()
    rest = Kept()
    run = TrainingRun(engine_of(*cohort), *cohort, rest)
    run.resume(epoch, {**state, SECONDS: state[SECONDS] + 1e6})
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
    _, (_, state) = set_down_in(cohort, "eager", epoch=2)
    changed = {**state, name: change(state[name])}
    run = TrainingRun(engine_of(*cohort), *cohort, Kept())
    with pytest.raises(ValueError, match=message):
        run.resume(1, {key: array for key, array in changed.items() if array is not None})


def test_an_epoch_of_which_nothing_is_done_has_not_begun() -> None:
    cohort = normed(regression_rows())
    observer = Kept(stop_when=lambda epoch, _share: epoch == 2)
    run = TrainingRun(engine_of(*cohort), *cohort, observer)
    assert run.run() == "stopped"
    assert_same(run.state(), train(*cohort, Kept(keep_states=True)).states[1])
