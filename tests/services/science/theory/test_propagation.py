import json

import numpy as np
import pytest

from services.science.activations.base import BaseActivation
from services.science.activations.exponential_linear import Elu, Selu
from services.science.activations.gated_linear import GeGlu
from services.science.activations.hard import HardTanh
from services.science.activations.rectifiers import Relu, SquaredRelu
from services.science.activations.self_gated import Gelu, Mish, Silu
from services.science.activations.sigmoidal import Sigmoid, Softsign, Tanh
from services.science.activations.softplus_family import Exponential, Softplus
from services.science.streams import Purpose, stream
from services.science.theory.propagation import LayerScale, predict, relu_log_spread, second_moments


def network(weight: float, depth: int = 30, width: int = 256, bias: float = 0.0) -> list[LayerScale]:
    return [LayerScale(width, width, weight / width, bias)] * (depth + 1)


def factor_10_and_29(gradients: np.ndarray) -> tuple[float, float]:
    return gradients[0] / gradients[10], gradients[0] / gradients[29]


# (q_10, q_30, product of chi over 10 and over 29 layers), input mean square 1.
GLOROT = {
    Relu: (1.95e-3, 1.9e-9, 9.8e-4, 1.9e-9),
    Tanh: (0.0580, 0.0178, 0.0714, 0.0248),
    Sigmoid: (0.265, 0.265, 2.3e-13, 3.4e-37),
    Softsign: (4.8e-3, 4.8e-4, 5.9e-3, 7.3e-4),
    Elu: (0.0709, 8.05e-3, 0.0700, 9.9e-3),
    Selu: (1, 1, 2.0, 7.42),
    Gelu: (1.33e-5, 1.21e-17, 4.2e-6, 1.5e-17),
    Silu: (7.2e-6, 6.6e-18, 2.1e-6, 7.6e-18),
    Mish: (1.78e-4, 2.4e-13, 7.6e-5, 2.8e-13),
    Softplus: (0.856, 0.856, 4.15e-6, 2.3e-16),
}
HE = {
    Relu: (2, 2, 1, 1),
    Tanh: (0.620, 0.618, 1.18, 7.9),
    Sigmoid: (0.555, 0.555, 7.9e-11, 9.5e-30),
    Softsign: (0.0877, 0.0795, 0.109, 0.224),
    Elu: (6.50, 20.2, 5.88, 44),
    Gelu: (0.627, 5.4e-6, 0.48, 7.6e-6),
    Silu: (0.0437, 4.45e-8, 0.018, 3.6e-8),
    Mish: (1.07, 0.018, 0.87, 0.032),
    Softplus: (7.77, 17.1, 0.0327, 4.4e-4),
}


@pytest.mark.parametrize(("weight", "table"), [(1.0, GLOROT), (2.0, HE)], ids=["glorot", "he"])
def test_reference_table_at_thirty_layers(weight: float, table: dict[type[Tanh], tuple[float, ...]]) -> None:
    for kind, expected in table.items():
        q, gradients = second_moments(kind(), network(weight))
        numbers = (q[9], q[29], *factor_10_and_29(gradients))
        assert numbers == pytest.approx(expected, rel=0.03), kind.__name__


def test_torchs_default_keeps_q_by_its_bias_while_gradients_vanish() -> None:
    q, gradients = second_moments(Relu(), network(1 / 3, bias=1 / (3 * 256)))
    assert (q[9], q[29]) == pytest.approx((1.6e-3, 1.6e-3), rel=0.05)
    assert factor_10_and_29(gradients) == pytest.approx((1.6e-8, 2.7e-23), rel=0.05)
    prediction = predict(Relu(), network(1 / 3, bias=1 / (3 * 256)))
    assert (prediction.forward, prediction.backward, prediction.verdict) == ("ok", "vanish", "vanish")


def simulate(activation: BaseActivation, weight: float, depth: int, width: int, seed: int) -> tuple[float, float]:
    """Forward and back through one random network in plain NumPy: q of the last layer, and the gradient's ratio."""
    rng = stream(seed, Purpose.RESAMPLING)
    h = rng.normal(0, np.sqrt(weight), (8, width))
    weights, before = [], [h]
    for _ in range(depth - 1):
        weights.append(rng.normal(0, np.sqrt(weight / width), (width, width)))
        before.append(activation.value(before[-1]) @ weights[-1])
    gradient = rng.normal(size=h.shape)
    last = np.sum(gradient**2)
    for matrix, pre in zip(reversed(weights), reversed(before[:-1]), strict=True):
        gradient = (gradient @ matrix.T) * activation.derivative(pre)
    return float(np.mean(before[-1] ** 2)), float(np.sum(gradient**2) / last)


@pytest.mark.parametrize(
    ("activation", "weight", "within"),
    [(Tanh(), 1.0, 0.25), (Tanh(), 2.0, 0.25), (Sigmoid(), 1.0, 0.25), (Selu(), 1.0, 0.35)],
)
def test_theory_meets_simulation(activation: BaseActivation, weight: float, within: float) -> None:
    depth, width = 20, 256
    runs = np.log([simulate(activation, weight, depth, width, seed) for seed in range(6)])
    q, gradients = second_moments(activation, network(weight, depth - 1, width))
    assert np.mean(runs[:, 0]) == pytest.approx(np.log(q[-1]), abs=within)
    assert np.mean(runs[:, 1]) == pytest.approx(np.log(gradients[0]), abs=within)


def test_relu_scatters_as_predicted() -> None:
    """sd of ln q at layer 12 of width 64 over 300 draws against sqrt(5 * 11 / 64), and against the general formula."""
    depth, width = 12, 64
    logs = [np.log(simulate(Relu(), 2.0, depth, width, seed)[0]) for seed in range(300)]
    prediction = predict(Relu(), network(2.0, depth - 1, width))
    spread = prediction.layers[-1].log_spread
    assert spread == pytest.approx(relu_log_spread(depth, width)) == pytest.approx(np.sqrt(5 * 11 / 64))
    assert np.std(logs) == pytest.approx(spread, rel=0.25)
    low, high = prediction.band
    # Two thirds inside, were the mean of ln q not pulled down by half the variance (a lognormal's median).
    inside = np.mean((np.array(logs) > np.log(2 * low)) & (np.array(logs) < np.log(2 * high)))
    assert 0.5 < inside < 0.85


def test_an_output_layer_of_another_width_and_an_unequal_first_layer() -> None:
    layers = [LayerScale(6, 50, 1 / 6), LayerScale(50, 50, 2 / 50), LayerScale(50, 1, 2 / 51)]
    prediction = predict(Relu(), layers, input_second_moment=1.5)
    q = [1.5, 1.5 / 2 * 2, 1.5 / 2 * 100 / 51]
    assert [layer.second_moment for layer in prediction.layers] == pytest.approx(q)
    assert prediction.gradient_ratio == pytest.approx(50 / 51)
    assert [layer.width for layer in prediction.layers] == [50, 50, 1]
    assert [layer.flat_fraction for layer in prediction.layers] == [0.5, 0.5, 0.0]


def test_correlation_follows_the_map() -> None:
    prediction = predict(Relu(), network(2.0, 10), input_correlation=0.0)
    correlations = [prediction.layers[index].correlation for index in (0, 1, 2, 5, 10)]
    assert correlations == pytest.approx([0, 0.318310, 0.493731, 0.735946, 0.871536], abs=2e-6)


def test_saturation_is_predicted() -> None:
    wide = predict(HardTanh(), network(9.0, 3))
    # P(|x| > 1) under N(0, q).
    first = wide.layers[0]
    assert first.flat_fraction == pytest.approx(2 * 0.36944, abs=1e-3)
    assert predict(Tanh(), network(100.0, 3)).layers[0].saturated_fraction > 0.7
    assert predict(Tanh(), network(0.1, 3)).layers[0].saturated_fraction < 1e-6


@pytest.mark.parametrize(
    ("width", "depth", "probability"),
    [(2, 10, 0.925), (3, 10, 0.699), (5, 10, 0.249), (5, 50, 0.789), (10, 50, 0.0467)],
)
def test_born_dead_networks(width: int, depth: int, probability: float) -> None:
    prediction = predict(Relu(), network(2.0, depth, width))
    assert prediction.born_dead_probability == pytest.approx(probability, abs=1e-3)
    assert predict(Tanh(), network(2.0, 3, width)).born_dead_probability is None
    assert predict(Relu(), network(2.0, 3, width, bias=0.1)).born_dead_probability is None


def test_where_it_is_lost() -> None:
    shrinking = predict(Relu(), network(1.0))
    assert (shrinking.forward_lost_at, shrinking.gradient_lost_after) == (14, 14)
    assert (shrinking.forward, shrinking.backward) == ("vanish", "vanish")
    assert shrinking.sentence.startswith("Signals and gradients vanish: over 30 hidden layers")
    healthy = predict(Relu(), network(2.0))
    assert (healthy.verdict, healthy.forward_lost_at, healthy.gradient_lost_after) == ("ok", None, None)
    growing = predict(Relu(), network(4.0))
    assert (growing.verdict, growing.forward_lost_at) == ("explode", 14)


@pytest.mark.parametrize("activation", [SquaredRelu(), Exponential(), GeGlu(), Relu()])
def test_beyond_floating_point_is_an_answer(activation: BaseActivation) -> None:
    prediction = predict(activation, network(1e8, 40))
    assert prediction.verdict == "explode"
    assert json.loads(prediction.model_dump_json())["verdict"] == "explode"


def test_zero_weights_and_a_single_layer() -> None:
    dead = predict(Relu(), network(0.0, 3))
    assert (dead.forward_ratio, dead.gradient_ratio, dead.verdict) == (0.0, 0.0, "vanish")
    alone = predict(Tanh(), [LayerScale(4, 1, 0.25)])
    assert (alone.forward_ratio, alone.gradient_ratio, alone.verdict) == (1.0, 1.0, "ok")


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        predict(Relu(), [])
    with pytest.raises(ValueError, match="layer 0: weight_variance"):
        predict(Relu(), [LayerScale(3, 3, -1.0)])
    with pytest.raises(ValueError, match="layer 0: fans"):
        predict(Relu(), [LayerScale(0, 3, 1.0)])
    with pytest.raises(ValueError, match="input_second_moment"):
        predict(Relu(), network(1.0), input_second_moment=np.nan)
