"""A convolutional network in plain PyTorch, one after the other: options ``{"channels_last", "keep_memory"}``.

`keep_memory` lets the C library keep freed memory for the next tensor, which few loops do. With ``"pinned"`` each core
trains a network of its own.
"""

import ctypes
import os

import torch
from torch import nn

from bench.contenders.numbers import orders, rows
from bench.turns import Turn, asked, serve
from bench.workload import Workload

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
RATES = (0.2, 0.3, 0.4, 0.5)


def network(workload: Workload) -> nn.Sequential:
    """The catalogue's default: activation, then batch norm; dropout after each block and the dense layer."""
    modules: list[nn.Module] = []
    entering = workload.image[0]
    for block, rate in zip(workload.blocks, RATES, strict=False):
        for channels in block:
            modules += [nn.Conv2d(entering, channels, 3, padding=1), nn.ReLU()]
            modules.append(nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01))
            entering = channels
        modules += [nn.MaxPool2d(2), nn.Dropout(rate)]
    inputs, hidden, outputs = workload.widths
    modules += [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.01)]
    return nn.Sequential(*modules, nn.Dropout(RATES[-1]), nn.Linear(hidden, outputs))


def main() -> None:
    """Serve one trial at a time; a turn is a single step."""
    workload, options = asked()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_flush_denormal(True)
    if options.get("keep_memory"):
        library = ctypes.CDLL(None)
        assert library.mallopt(M_MMAP_MAX, 0)
        assert library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

    def make(workload: Workload, steps: int) -> Turn:
        model = network(workload)
        x, y = (torch.from_numpy(array) for array in rows(workload, workload.rows))
        if options.get("channels_last"):
            model = model.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=workload.learning_rate)
        criterion = nn.CrossEntropyLoss()
        batches = torch.from_numpy(orders(workload, steps))[0]

        def turn() -> None:
            for index in batches:
                optimizer.zero_grad()
                criterion(model(x[index]), y[index]).backward()
                optimizer.step()

        return turn

    serve(make, workload.with_trials(1), trials=1, steps=1)


if __name__ == "__main__":
    main()
