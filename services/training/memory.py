"""What the C library does with memory that a tensor gives back."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt(3)."""
ALWAYS = 2**31 - 1


def keep_freed() -> bool:
    """Keep freed memory for the next tensor; false where the C library cannot be told so.

    By itself glibc hands every block above 32 MB back to the system, which then clears each page of the next one:
    activations of a convolution are larger, and a quarter of a step went into that. The process holds its peak until it
    ends, a third more than what is in use at once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*pair) for pair in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, ALWAYS)))
