"""PyTorch's own way to train many networks at once: torch.func's grad under vmap over stacked parameters."""

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from bench.contenders.numbers import layers, orders, rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload


def main() -> None:
    """Serve all trials together."""
    workload, _ = asked()

    def make(workload: Workload, steps: int) -> Turn:
        parameters = [torch.from_numpy(array) for pair in layers(workload) for array in pair]
        x, y = (torch.from_numpy(array) for array in rows(workload, workload.rows))
        batches = torch.from_numpy(orders(workload, steps)).movedim(1, 0)

        def loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
            last = len(parameters) - 2
            for place in range(0, len(parameters), 2):
                x = x @ parameters[place] + parameters[place + 1]
                x = torch.relu(x) if place < last else x
            criterion = torch.nn.functional.l1_loss if workload.loss == "mae" else torch.nn.functional.cross_entropy
            return criterion(x, y)

        gradient = vmap(grad_and_value(loss))

        def turn() -> None:
            for index in batches:
                changes, _ = gradient(parameters, x[index], y[index])
                torch._foreach_sub_(parameters, changes, alpha=workload.learning_rate)

        return turn

    serve(make, workload, trials=workload.trials)


if __name__ == "__main__":
    main()
