"""Who takes part in which race."""

from collections.abc import Mapping
from pathlib import Path

import torch

from bench.race import CORES, Entry
from bench.workload import Workload

OURS = "Firstlight, kernel"
STACKED = "Firstlight, PyTorch stacked"
OURS_CNN = "Firstlight"
EAGER = "PyTorch, one at a time"
CEILING = "matrix product"
KERAS = {"tensorflow": "Keras fit, TensorFlow", "jax": "Keras fit, JAX", "torch": "Keras fit, PyTorch"}
"""By backend; the first is Keras's default."""
PINNED = f"{len(CORES)} pinned processes"

Pythons = Mapping[str, str]
"""The peers' Pythons by environment; empty without peers."""


def contenders(workload: Workload, pythons: Pythons) -> list[Entry]:
    """All for one workload."""
    if workload.image:
        return convolutional()
    own = [*_engines(), _eager(), Entry("PyTorch, torch.func.vmap", "torch_vmap"), Entry(CEILING, "matrix_product")]
    return [*own, *_jax(pythons, pinned=len(CORES) > 1), *(keras(pythons, backend) for backend in KERAS if pythons)]


def convolutional() -> list[Entry]:
    """Those that train a convolutional network; nothing but PyTorch beside this project."""
    several = len(CORES) > 1
    tuned = {"channels_last": True}
    pinned = [
        Entry(f"{OURS_CNN}, {PINNED}", "own_engine", {"engine": "auto", "pinned": True}),
        Entry(f"PyTorch, channels last, {PINNED}", "torch_cnn", {**tuned, "pinned": True}),
    ]
    return [
        Entry(OURS_CNN, "own_engine", {"engine": "auto"}),
        *(pinned if several else []),
        Entry("PyTorch, channels last", "torch_cnn", tuned),
        Entry("PyTorch, channels last, freed memory kept", "torch_cnn", {**tuned, "keep_memory": True}),
        Entry("PyTorch as it comes", "torch_cnn"),
        Entry(CEILING, "matrix_product"),
    ]


def together(trials: int, pythons: Pythons) -> list[Entry]:
    """Those that train trials together, for the sweep over widths."""
    own = _engines()
    if trials == 1:
        own.append(_eager())
    return [*own, *_jax(pythons, pinned=trials >= len(CORES) > 1)]


def alone() -> list[Entry]:
    """This project and PyTorch's loop, for a single trial."""
    return [*_engines(), _eager()]


def keras(pythons: Pythons, backend: str, epochs: int = 0) -> Entry:
    """Keras on one backend; the loop in PyTorch's own environment is lent to it."""
    options: dict[str, object] = {"backend": backend, "epochs": epochs}
    if backend == "torch":
        options["packages"] = str(Path(torch.__file__).parents[1])
    return Entry(KERAS[backend], "keras_fit", options, pythons["jax" if backend == "jax" else "keras"])


def _engines() -> list[Entry]:
    return [Entry(OURS, "own_engine", {"engine": "native"}), Entry(STACKED, "own_engine", {"engine": "eager"})]


def _eager() -> Entry:
    return Entry(EAGER, "torch_eager")


def _jax(pythons: Pythons, *, pinned: bool) -> list[Entry]:
    if not pythons:
        return []
    forms = [("vmap", False), ("scan", False), *([("vmap", True), ("scan", True)] if pinned else [])]
    return [
        Entry(
            f"JAX {form}, {PINNED if apart else 'one process'}",
            "jax_cohort",
            {"form": form, "pinned": apart},
            pythons["jax"],
        )
        for form, apart in forms
    ]
