"""Initial parameters: the catalogue's own draws, and the pass over the data."""

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.science.initializers import INITIALIZERS, LayerContext
from services.science.streams import Purpose, stream
from services.training.initial import InitializationError, draw_layers
from tests.support.training import described, regression_rows

ROWS = regression_rows(train=1500)


def test_weights_are_the_catalogues_draws_from_the_trials_own_streams() -> None:
    document = {"activation": ["tanh", "relu"], "initializer": ["he_normal", "torch_default"], "seeds": [4, 9]}
    description = described({**document, "epochs": 1}, ROWS)
    for number, layer in enumerate(draw_layers(description, ROWS.x_train)):
        for slot, trial in enumerate(description.trials):
            shape = layer.weight.shape[1:]
            context = LayerContext.of(shape, layer=number, depth=3, activation=trial.activation)
            weight = trial.initializer.draw(shape, stream(trial.seed, Purpose.WEIGHTS, number), context)
            bias = trial.initializer.draw_bias(shape[1:], stream(trial.seed, Purpose.BIASES, number), context)
            np.testing.assert_array_equal(layer.weight[slot], weight.astype(np.float32))
            np.testing.assert_array_equal(layer.bias[slot], bias.astype(np.float32))


@pytest.mark.parametrize("kind", ["relu", "tanh", "sigmoid"])
def test_lsuv_gives_every_layer_a_variance_near_one(kind: str) -> None:
    model = {"kind": "mlp", "hidden": [40, 30, 30]}
    description = described({"activation": kind, "initializer": "lsuv", "model": model, "epochs": 1, "seeds": 3}, ROWS)
    layers = draw_layers(description, ROWS.x_train)
    activation = ACTIVATIONS[kind].model_validate({})
    for slot in range(3):
        x = ROWS.x_train[:1024].astype(np.float64)
        for layer in layers:
            pre = x @ layer.weight[slot] + layer.bias[slot]
            assert pre.var() == pytest.approx(1.0, abs=0.1)
            x = activation.value(pre)


def test_every_initializer_starts_a_cohort() -> None:
    model = {"kind": "mlp", "hidden": [8, 12]}
    document = {"activation": "tanh", "initializer": list(INITIALIZERS), "model": model, "epochs": 1, "seeds": 1}
    for layer in draw_layers(described(document, ROWS), ROWS.x_train):
        assert np.isfinite(layer.weight).all()
        assert np.isfinite(layer.bias).all()


def test_a_refusal_names_the_slot_and_the_initializer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no such weight")

    monkeypatch.setattr(INITIALIZERS["dirac"], "draw", refuse)
    description = described({"activation": "tanh", "initializer": ["zeros", "dirac"], "epochs": 1, "seeds": 1}, ROWS)
    with pytest.raises(InitializationError, match="dirac: no such weight") as caught:
        draw_layers(description, ROWS.x_train)
    assert caught.value.slot == 1


@pytest.mark.parametrize("extra", [{"batch_norm": True}, {"layer_norm": True}, {"residual": True}])
def test_lsuv_refuses_networks_it_cannot_follow(extra: dict[str, object]) -> None:
    model = {"kind": "mlp", "hidden": [5, 5], **extra}
    document = {"activation": "tanh", "initializer": ["he_normal", "lsuv"], "model": model, "epochs": 1, "seeds": 1}
    with pytest.raises(InitializationError, match="use another initializer, or a plain mlp") as raised:
        draw_layers(described(document, ROWS), ROWS.x_train)
    assert raised.value.slot == 1
