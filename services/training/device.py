"""How torch is set up before the first tensor: device, threads, determinism."""

import os

import torch


def configure(device: str, threads: int) -> str:
    """Set torch up for a reproducible run and return the device in force, ``cpu`` or ``cuda``.

    Flushing of denormals is a property of a thread that new threads inherit, so this comes before any parallel work.

    Raises:
        ValueError: cuda was asked for and there is none.
    """
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # The same switch as use_deterministic_algorithms(True), which also loads the compiler: 0.9 s for nothing.
    torch.set_deterministic_debug_mode("error")
    # That mode also fills every new tensor with NaN before an operation writes to it: a tenth of a convolution's step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda' but torch finds no CUDA device; use 'auto' or 'cpu'")
    return device


def available() -> list[str]:
    """The devices this process can train on."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
