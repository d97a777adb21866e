"""Microseconds of wall and CPU time per trial and step: the native kernel beside eager and stacked PyTorch, and JAX.

The network is 6-50-50-1 with relu, mean absolute error and plain gradient descent on 43,152 rows of numbers. Contenders
take turns and the smallest of the repeats is printed, so that other load on the machine weighs little. "CPU / cores" is
what a step would take if all cores were free and fully used.
"""

import argparse
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable

import numpy as np
import torch

from services.science.streams import Purpose, stream
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort

WIDTHS = (6, 50, 50, 1)
ROWS = 43_152
CORES = len(os.sched_getaffinity(0))


def numbers(trials: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """Weights, biases, features and targets."""
    rng = stream(0, Purpose.SYNTHETIC)
    pairs = list(itertools.pairwise(WIDTHS))
    weights = [rng.normal(0, a**-0.5, (trials, a, b)).astype(np.float32) for a, b in pairs]
    x = rng.normal(size=(ROWS, WIDTHS[0])).astype(np.float32)
    return weights, [np.zeros((trials, b), np.float32) for _, b in pairs], x, 0.5 * x[:, :1]


def native(trials: int, batch: int) -> tuple[Callable[[], None], int]:
    """One epoch of the kernel on all cores."""
    weights, biases, x, y = numbers(trials)
    description = NativeDescription(
        WIDTHS, "mae", batch, [{"kind": "relu"}] * trials, [{"kind": "sgd", "learning_rate": 1e-3}] * trials
    )
    cohort = NativeCohort(description, weights, biases, CORES)
    cohort.set_training_rows(x, y)
    orders = np.stack([stream(seed, Purpose.ORDER, 1).permutation(ROWS) for seed in range(trials)]).astype(np.int32)
    return lambda: cohort.run_epoch(orders) and None, -(-ROWS // batch)


def eager(_trials: int, batch: int) -> tuple[Callable[[], None], int]:
    """Three hundred steps of one trial in plain PyTorch."""
    weights, biases, x, y = numbers(1)
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(WIDTHS)]
    for layer, w, b in zip(layers, weights, biases, strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(w[0].T.copy()), torch.from_numpy(b[0])
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    features, targets, order = torch.from_numpy(x), torch.from_numpy(y), torch.randperm(ROWS)

    def work() -> None:
        for k in range(300):
            index = order[(k % 100) * batch : (k % 100 + 1) * batch]
            optimizer.zero_grad()
            torch.nn.functional.l1_loss(model(features[index]), targets[index]).backward()
            optimizer.step()

    return work, 300


def stacked(trials: int, batch: int) -> tuple[Callable[[], None], int]:
    """A hundred steps of all trials as one program of batched matrix products."""
    weights, biases, x, y = numbers(trials)
    leaves = [torch.from_numpy(w).requires_grad_() for pair in zip(weights, biases, strict=True) for w in pair]
    features, targets = torch.from_numpy(x), torch.from_numpy(y)
    order = torch.stack([torch.randperm(ROWS) for _ in range(trials)])

    def work() -> None:
        for k in range(100):
            index = order[:, k * batch : (k + 1) * batch]
            h = features[index]
            for layer in range(3):
                h = torch.baddbmm(leaves[2 * layer + 1].unsqueeze(1), h, leaves[2 * layer])
                h = torch.relu(h) if layer < 2 else h
            loss = (h - targets[index]).abs().mean(dim=(1, 2)).sum()
            with torch.no_grad():
                for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                    leaf.sub_(gradient, alpha=1e-3)

    return work, 100


def jax_best(python: str, trials: int, batch: int) -> tuple[float, float, str]:
    """The fastest of JAX's forms: microseconds of wall and CPU per trial and step, and which form it was."""
    found: list[tuple[float, float, str]] = []
    for form, processes in (("vmap", 1), ("scan", 1), ("vmap", CORES), ("scan", CORES)):
        if processes > trials:
            continue
        rows = max(100 * batch, ROWS // max(1, trials // 16))
        command = [python, "bench/kernel_jax.py", "--form", form, "--processes", str(processes)]
        command += ["--trials", str(trials), "--batch", str(batch), "--rows", str(min(rows, ROWS))]
        times = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        steps = min(rows, ROWS) // batch
        wall, cpu = (min(row[i] for row in times) / steps / trials * 1e6 for i in (0, 1))
        found.append((wall, cpu, f"{form} x{processes}"))
    return min(found)


def main() -> None:
    """Print one line per width and batch size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jax-python", help="a Python with jax; without it JAX is left out")
    parser.add_argument("--trials", default="1,4,16,60,240")
    parser.add_argument("--batches", default="32,256")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for batch in map(int, options.batches.split(",")):
        for trials in map(int, options.trials.split(",")):
            contenders = {"native": native(trials, batch), "stacked": stacked(trials, batch)}
            if trials == 1:
                contenders["eager"] = eager(trials, batch)
            best = {name: [float("inf"), float("inf")] for name in contenders}
            for _ in range(options.repeats):
                for name, (work, steps) in contenders.items():
                    wall, cpu = time.perf_counter(), time.process_time()
                    work()
                    spent = (time.perf_counter() - wall, time.process_time() - cpu)
                    best[name] = [
                        min(old, new / steps / trials * 1e6) for old, new in zip(best[name], spent, strict=True)
                    ]
            words = [f"{name} {wall:.2f} (CPU / cores {cpu / CORES:.2f})" for name, (wall, cpu) in best.items()]
            if options.jax_python:
                wall, cpu, form = jax_best(options.jax_python, trials, batch)
                words.append(f"jax {form} {wall:.2f} (CPU / cores {cpu / CORES:.2f})")
            print(f"batch {batch}, {trials} trials, us per trial and step: " + "; ".join(words), flush=True)


if __name__ == "__main__":
    main()
