"""PyTorch as most write it: one network after the other, a module, an optimizer, a loop over batches."""

import itertools

import torch

from bench.contenders.numbers import orders, rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload


def main() -> None:
    """Serve one trial at a time."""
    workload, _ = asked()

    def make(workload: Workload, steps: int) -> Turn:
        modules: list[torch.nn.Module] = []
        for a, b in itertools.pairwise(workload.widths):
            modules += [torch.nn.Linear(a, b), torch.nn.ReLU()]
        model = torch.nn.Sequential(*modules[:-1])
        optimizer = torch.optim.SGD(model.parameters(), lr=workload.learning_rate)
        criterion = torch.nn.L1Loss() if workload.loss == "mae" else torch.nn.CrossEntropyLoss()
        x, y = (torch.from_numpy(array) for array in rows(workload, workload.rows))
        batches = torch.from_numpy(orders(workload, steps))[0]

        def turn() -> None:
            for index in batches:
                optimizer.zero_grad()
                criterion(model(x[index]), y[index]).backward()
                optimizer.step()

        return turn

    serve(make, workload.with_trials(1), trials=1)


if __name__ == "__main__":
    main()
