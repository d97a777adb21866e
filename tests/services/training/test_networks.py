"""Every sort of network against the same one built from torch.nn modules, one trial at a time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from services.science.models import Mlp
from services.science.models.layers import Stage
from services.science.streams import Purpose, stream
from services.training.choose import Choice
from services.training.dropout import DropoutMasks
from services.training.engine import CohortDescription, Rows
from services.training.initial import draw_layers
from services.training.loop import TrainingRun
from services.training.native.engine import unsupported
from tests.support.training import Kept, alone, class_rows, described, engine_of, regression_rows, train

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
PERCEPTRONS: list[dict[str, Any]] = [
    {"kind": "deep_mlp", "depth": 4, "width": 6},
    {"kind": "mlp", "hidden": [8, 7], "batch_norm": True},
    {"kind": "mlp", "hidden": [8, 7], "batch_norm": {"position": "after", "decay": 0.9, "epsilon": 0.1}},
    {"kind": "mlp", "hidden": [8, 7], "layer_norm": True},
    {"kind": "mlp", "hidden": [8, 7], "layer_norm": {"position": "after", "epsilon": 0.01}, "dropout": 0.25},
    {"kind": "mlp", "hidden": [8, 8, 8], "residual": True, "dropout": 0.5},
    {"kind": "deep_mlp", "depth": 3, "width": 5, "batch_norm": True, "dropout": 0.1, "residual": True},
]
CONVOLUTIONS: list[dict[str, Any]] = [
    {"kind": "cnn", "blocks": [[4], [5, 6]], "dense": [7]},
    {"kind": "cnn", "blocks": [[4, 3]], "dense": [], "batch_norm": {"position": "before"}, "dropout": 0.3},
    {"kind": "cnn", "blocks": [[2], [2], [3]], "dense": [5], "batch_norm": False, "dropout": 0.0},
]
BATCH = 20
EPOCHS = 2


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of PyTorch's, as a lane has it."""
    own = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(own)


def image_rows(train: int = 60, validation: int = 30) -> Rows:
    """Pictures of 2 channels and 9 x 8 places whose class is where they are brightest."""
    rng = stream(13, Purpose.SYNTHETIC)
    x = rng.normal(size=(train + validation, 2, 9, 8)).astype(np.float32)
    y = x[:, 0, :6].reshape(len(x), 3, -1).mean(axis=2).argmax(axis=1).astype(np.int64)
    return Rows(x[:train], y[:train], x[train:], y[train:])


def cohort(model: dict[str, Any], **changes: Any) -> tuple[CohortDescription, Rows]:
    document = {
        "dataset": "mnist" if model["kind"] == "cnn" else "digits",
        "model": model,
        "activation": ["tanh", "relu"],
        "initializer": "glorot_uniform",
        "optimizer": {"kind": "sgd", "learning_rate": 0.1},
        "batch_size": BATCH,
        "seeds": [3, 8],
        "epochs": EPOCHS,
        **changes,
    }
    rows = image_rows() if model["kind"] == "cnn" else class_rows(train=100)
    return described(document, rows, outputs=3), rows


class Reference(nn.Module):
    """One trial's network from torch.nn, channels first, with torch's own moving statistics."""

    def __init__(self, stages: tuple[Stage, ...], activation: str, parameters: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.stages = stages
        self.activation = ACTIVATIONS[activation]()
        self.weighing, self.norms = nn.ModuleList(), nn.ModuleList()
        for stage, (weight, bias) in zip(stages, parameters, strict=True):
            if len(stage.layer.shape) == 4:
                module: nn.Conv2d | nn.Linear = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                module.weight.data = weight.clone()
            else:
                module = nn.Linear(weight.shape[0], weight.shape[1])
                module.weight.data = weight.T.clone()
            module.bias = nn.Parameter(bias.clone())
            self.weighing.append(module)
            norm: nn.Module = nn.Identity()
            if stage.batch_norm is not None:
                kind = nn.BatchNorm2d if stage.space else nn.BatchNorm1d
                settings = stage.batch_norm
                norm = kind(stage.layer.channels, eps=settings.epsilon, momentum=1.0 - settings.decay)
            elif stage.layer_norm is not None:
                norm = nn.LayerNorm(stage.layer.channels, eps=stage.layer_norm.epsilon)
            self.norms.append(norm)

    def forward(self, x: Tensor, rng: np.random.Generator | None) -> Tensor:
        for stage, weighing, norm in zip(self.stages, self.weighing, self.norms, strict=True):
            entering = x
            if x.ndim == 4 and not stage.space:
                x = x.permute(0, 2, 3, 1).reshape(len(x), -1)
            x = weighing(x)
            if stage.layer.is_output:
                break
            settings = stage.batch_norm or stage.layer_norm
            after = settings is not None and settings.position == "after"
            x = norm(self.activation(x)) if after else self.activation(norm(x))
            if stage.pooled:
                x = nn.functional.max_pool2d(x, 2)
            if stage.dropout and rng is not None:
                shape = (len(x), *x.shape[2:], x.shape[1]) if x.ndim == 4 else tuple(x.shape)
                mask = torch.from_numpy(rng.random(shape, dtype=np.float32) >= np.float32(stage.dropout))
                x = x * (mask.permute(0, 3, 1, 2) if x.ndim == 4 else mask) / (1.0 - stage.dropout)
            if stage.skip:
                x = x + entering
        return x


def mean_loss(outputs: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy; a single output is the logit of class 1."""
    if outputs.shape[1] == 1:
        return nn.BCELoss()(outputs[:, 0].sigmoid(), classes.float())
    return nn.CrossEntropyLoss()(outputs, classes)


def reference(description: CohortDescription, rows: Rows, slot: int) -> tuple[Reference, list[float]]:
    """Train one trial with torch.optim; the training losses of the epochs."""
    trial = description.trials[slot]
    layers = draw_layers(alone(description, [slot]), rows.x_train)
    parameters = [(torch.from_numpy(layer.weight[0]), torch.from_numpy(layer.bias[0])) for layer in layers]
    network = Reference(description.stages, trial.activation.kind, parameters)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = torch.from_numpy(rows.x_train), torch.from_numpy(rows.y_train)
    losses: list[float] = []
    for epoch in range(1, description.epochs + 1):
        order = stream(trial.seed, Purpose.ORDER, epoch).permutation(len(x))
        rng = stream(trial.seed, Purpose.DROPOUT, epoch)
        total = 0.0
        for first in range(0, len(x), BATCH):
            index = torch.from_numpy(order[first : first + BATCH])
            loss = mean_loss(network(x[index], rng), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / len(x))
    return network, losses


def one_output(description: CohortDescription, rows: Rows) -> tuple[CohortDescription, Rows]:
    """The same networks with one logit for two classes: the first of three, and the others."""
    two = Rows(rows.x_train, (rows.y_train == 0).astype(np.int64), rows.x_validation, (rows.y_validation == 0) * 1)
    return replace(description, loss="binary_cross_entropy", outputs=1), two


@pytest.mark.parametrize("single", [False, True], ids=["three outputs", "one output"])
@pytest.mark.parametrize(
    ("model", "engine"),
    [(model, "eager") for model in PERCEPTRONS + CONVOLUTIONS] + [(model, "native") for model in PERCEPTRONS],
    ids=lambda value: value if isinstance(value, str) else str(sorted(value.items()))[:70],
)
def test_a_cohort_trains_as_torch_modules_do(model: dict[str, Any], engine: Choice, single: bool) -> None:
    description, rows = one_output(*cohort(model)) if single else cohort(model)
    observer = train(description, rows, Kept(keep_states=True), engine)
    steps = EPOCHS * -(-len(rows.x_train) // BATCH)
    for slot in range(len(description.trials)):
        network, losses = reference(description, rows, slot)
        np.testing.assert_allclose(observer.metric("train_loss")[1:, slot], losses, rtol=2e-5)
        state = observer.states[-1]
        for stage, norm in zip(description.stages, network.norms, strict=True):
            if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or stage.batch_norm is None:
                continue
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean = state[f"batch_norm.{stage.layer.name}.mean"][slot]
            np.testing.assert_allclose(mean, norm.running_mean.numpy(), rtol=1e-4, atol=1e-6)
            # torch adds up variances with n - 1 below; the first value, 1, has no such factor.
            count = BATCH * stage.places
            first = stage.batch_norm.decay**steps
            expected = (norm.running_var.numpy() - first) * (count - 1) / count + first
            variance = state[f"batch_norm.{stage.layer.name}.variance"][slot]
            np.testing.assert_allclose(variance, expected, rtol=1e-4, atol=1e-6)
            norm.running_var.data = torch.from_numpy(variance.copy())
        network.eval()
        with torch.no_grad():
            outputs = network(torch.from_numpy(rows.x_validation), None)
        loss = mean_loss(outputs, torch.from_numpy(rows.y_validation)).item()
        np.testing.assert_allclose(observer.metric("val_loss")[-1, slot], loss, rtol=2e-5)


STATEFUL = [PERCEPTRONS[4], PERCEPTRONS[6], CONVOLUTIONS[0]]


@pytest.mark.parametrize("model", STATEFUL, ids=lambda model: model["kind"])
def test_every_trial_is_what_it_is_alone(model: dict[str, Any]) -> None:
    description, rows = cohort(model, optimizer="adam")
    fused = train(description, rows)
    for slot in range(len(description.trials)):
        single = train(alone(description, [slot]), rows)
        for name in ("train_loss", "val_loss"):
            np.testing.assert_allclose(single.metric(name)[:, 0], fused.metric(name)[:, slot], rtol=1e-5)


@pytest.mark.parametrize("model", CONVOLUTIONS)
@pytest.mark.usefixtures("one_thread")
def test_images_side_by_side_are_what_they_are_in_turn(model: dict[str, Any]) -> None:
    description, rows = cohort(model, optimizer="adam", seeds=[3, 8, 9])
    turns, lanes, many = (train(description, rows, Kept(keep_states=True), threads=threads) for threads in (1, 2, 6))
    for name, array in turns.states[-1].items():
        np.testing.assert_array_equal(array, lanes.states[-1][name], err_msg=name)
        np.testing.assert_array_equal(array, many.states[-1][name], err_msg=name)
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        np.testing.assert_array_equal(turns.metric(name), lanes.metric(name))
        np.testing.assert_array_equal(turns.metric(name), many.metric(name))


def test_a_stop_in_the_middle_of_an_epoch_reaches_every_lane() -> None:
    description, rows = cohort(CONVOLUTIONS[0], seeds=[3, 8, 9])
    engine = engine_of(description, rows, threads=3)
    fractions: list[float] = []
    assert not engine.train_epoch(1, lambda share: bool(fractions.append(share)) or len(fractions) > 4).whole
    assert len(fractions) == 5
    engine.load_state(engine_of(description, rows).state())
    assert engine.train_epoch(1, lambda _share: False).whole


@pytest.mark.parametrize("model", STATEFUL, ids=lambda model: model["kind"])
def test_resuming_is_bit_equal(model: dict[str, Any]) -> None:
    description, rows = cohort(model, optimizer="adam", epochs=3)
    whole = train(description, rows, Kept(keep_states=True))
    for epoch in range(description.epochs):
        rest = Kept(keep_states=True)
        run = TrainingRun(engine_of(description, rows), description, rows, rest)
        run.resume(epoch, whole.states[epoch])
        assert run.run() == "done"
        for name, array in whole.states[-1].items():
            np.testing.assert_array_equal(array, rest.states[-1][name], err_msg=name)
        np.testing.assert_array_equal(rest.metric("val_loss"), whole.metric("val_loss")[epoch + 1 :])


@pytest.mark.parametrize("model", STATEFUL, ids=lambda model: model["kind"])
def test_a_diverging_trial_leaves_its_neighbours_bit_identical(model: dict[str, Any]) -> None:
    calm, rows = cohort(model)
    trials = list(calm.trials)
    wild = type(trials[0])(
        trials[1].activation,
        trials[1].initializer,
        trials[1].optimizer.model_copy(update={"learning_rate": 1e38}),
        trials[1].seed,
    )
    described_wild = CohortDescription((trials[0], wild, *trials[2:]), *list(vars(calm).values())[1:])
    expected, got = train(calm, rows, Kept(keep_states=True)), train(described_wild, rows, Kept(keep_states=True))
    assert [item.slot for report in got.reports for item in report.diverged] == [1]
    others = [0, 2, 3]
    np.testing.assert_array_equal(expected.metric("val_loss")[:, others], got.metric("val_loss")[:, others])
    for name, array in expected.states[-1].items():
        if name != "diverged_at":
            np.testing.assert_array_equal(array[others], got.states[-1][name][others], err_msg=name)


def test_dropout_masks_differ_between_seeds_and_batches() -> None:
    stages = Mlp(hidden=(30,), dropout=0.5).stages(5, 3)
    masks = DropoutMasks(stages, (3, 8), "cpu")
    masks.start_epoch(1)
    first, second = masks.draw(1000)[0], masks.draw(1000)[0]
    assert (first[0] != first[1]).float().mean() > 0.4
    assert (first != second).float().mean() > 0.4
    assert abs(first.float().mean().item() - 0.5) < 0.01


def recalibration_case(evaluation: list[str]) -> tuple[CohortDescription, Rows]:
    rows = regression_rows(train=120, validation=50)
    model = {"kind": "mlp", "hidden": [9], "batch_norm": {"evaluation": evaluation, "epsilon": 0.01}}
    document = {"model": model, "activation": "tanh", "initializer": "he_normal", "loss": "mse", "batch_size": 30}
    return described({**document, "epochs": 1, "seeds": 2}, rows), rows


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_three_ways_to_evaluate_batch_norm(engine: Choice) -> None:
    description, rows = recalibration_case(["batch", "moving", "recalibrated"])
    observer = train(description, rows, Kept(keep_states=True), engine)
    assert set(observer.reports[0].extra) == {
        f"{name}_{kind}"
        for name in ("val_loss", "val_mae", "val_rmse", "val_r2")
        for kind in ("moving", "recalibrated")
    }
    for epoch, (report, state) in enumerate(zip(observer.reports, observer.states, strict=True)):
        for slot in range(2):
            w0, b0, gamma, beta, w1, b1 = (
                state[f"parameters.{name}"][slot].astype(np.float64)
                for name in (
                    "dense_0.weight", "dense_0.bias", "dense_0.gamma", "dense_0.beta", "dense_1.weight", "dense_1.bias"
                )
            )  # fmt: skip
            pre_train, pre = (x.astype(np.float64) @ w0 + b0 for x in (rows.x_train, rows.x_validation))

            def loss(mean: Any, variance: Any, part: slice = slice(None)) -> np.ndarray:
                z = gamma * (pre[part] - mean) / np.sqrt(variance + 0.01) + beta  # noqa: B023
                return ((np.tanh(z) @ w1 + b1 - rows.y_validation[part]) ** 2)[:, 0]  # noqa: B023

            moving = loss(state["batch_norm.dense_0.mean"][slot], state["batch_norm.dense_0.variance"][slot]).mean()
            recalibrated = loss(pre_train.mean(axis=0), pre_train.var(axis=0)).mean()
            parts = [slice(0, 30), slice(30, 50)]
            batch = np.concatenate([loss(pre[p].mean(axis=0), pre[p].var(axis=0), p) for p in parts]).mean()
            np.testing.assert_allclose(report.metrics["val_loss"][slot], batch, rtol=1e-5)
            np.testing.assert_allclose(report.extra["val_loss_moving"][slot], moving, rtol=1e-5)
            np.testing.assert_allclose(report.extra["val_loss_recalibrated"][slot], recalibrated, rtol=1e-5)
            if epoch == 0:
                np.testing.assert_array_equal(state["batch_norm.dense_0.mean"][slot], 0.0)
                np.testing.assert_array_equal(state["batch_norm.dense_0.variance"][slot], 1.0)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_how_batch_norm_validates_does_not_touch_the_training(engine: Choice) -> None:
    observers = [
        train(*recalibration_case(kinds), engine=engine) for kinds in (["moving"], ["recalibrated", "batch", "moving"])
    ]
    np.testing.assert_array_equal(observers[0].metric("train_loss"), observers[1].metric("train_loss"))
    np.testing.assert_array_equal(observers[0].metric("val_loss")[1], observers[1].reports[1].extra["val_loss_moving"])


@pytest.mark.parametrize("model", CONVOLUTIONS, ids=lambda model: str(sorted(model.items()))[:70])
def test_the_kernel_refuses_what_it_has_not(model: dict[str, Any]) -> None:
    description, _ = cohort(model)
    assert "multilayer perceptrons only" in str(unsupported(description))
