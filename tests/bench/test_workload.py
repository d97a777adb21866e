"""What the benchmarks train: counts of arithmetic, and the way to another process."""

import json

import pytest

from bench.workload import CNN, DIAMONDS, WORKLOADS, Workload
from services.science.models import Cnn


def test_a_perceptron_multiplies_forward_and_back() -> None:
    forward = 6 * 50 + 50 * 50 + 50 * 1
    to_weights, to_inputs = forward, 50 * 50 + 50 * 1
    assert DIAMONDS.flops == 2 * 32 * (forward + to_weights + to_inputs)


def test_convolutions_multiply_at_every_place() -> None:
    stages = Cnn().stages(CNN.image, CNN.widths[-1])
    forward = [stage.places * stage.layer.parameters - stage.places * stage.layer.channels for stage in stages]
    assert CNN.flops == 2 * CNN.batch * (3 * sum(forward) - forward[0])
    assert CNN.blocks == Cnn().blocks
    assert CNN.widths[1:-1] == Cnn().dense
    assert CNN.widths[0] == stages[len(sum(CNN.blocks, ()))].layer.fan_in


@pytest.mark.parametrize("workload", [*WORKLOADS, CNN], ids=lambda workload: workload.name)
def test_a_workload_survives_json(workload: Workload) -> None:
    assert Workload.from_document(json.loads(json.dumps(workload.document()))) == workload
