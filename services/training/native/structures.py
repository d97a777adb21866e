"""The structures and signatures shared with the compiled kernel, as ctypes.

The C++ side is in shape.hpp, rows.hpp, losses.hpp, optimizers.hpp and measure.hpp.
"""

import ctypes
from functools import cache
from pathlib import Path

from services.training.native.build import KernelUnavailableError, load_kernel

INTERFACE = 6
"""Bumped on both sides with every change of a structure or a signature."""


class Settings(ctypes.Structure):
    """What one trial's activation and optimizer are."""

    _fields_ = (
        ("rule", ctypes.c_int32),
        ("activation", ctypes.c_int32),
        ("nesterov", ctypes.c_int32),
        ("centered", ctypes.c_int32),
        ("amsgrad", ctypes.c_int32),
        ("learned", ctypes.c_int32),
        ("momentum", ctypes.c_double),
        ("dampening", ctypes.c_double),
        ("beta1", ctypes.c_double),
        ("beta2", ctypes.c_double),
        ("epsilon", ctypes.c_double),
        ("weight_decay", ctypes.c_double),
        ("rate_decay", ctypes.c_double),
        ("clip_norm", ctypes.c_double),
        ("activation_parameters", ctypes.c_float * 4),
        ("exact_parameters", ctypes.c_double * 4),
    )


class Between(ctypes.Structure):
    """What stands between the dense layers."""

    _fields_ = (
        ("norm", ctypes.c_int32),
        ("after", ctypes.c_int32),
        ("factor", ctypes.c_int32),
        ("residual", ctypes.c_int32),
        ("learned", ctypes.c_int32),
        ("keep_from", ctypes.c_uint32),
        ("enlarge", ctypes.c_double),
        ("epsilon", ctypes.c_float),
        ("fresh", ctypes.c_float),
        ("scales", ctypes.c_void_p),
        ("slopes", ctypes.c_void_p),
        ("statistics", ctypes.c_void_p),
        ("statistics_size", ctypes.c_int64),
    )


class Shape(ctypes.Structure):
    """What all trials of a cohort share."""

    _fields_ = (
        ("layers", ctypes.c_int32),
        ("batch_size", ctypes.c_int32),
        ("loss", ctypes.c_int32),
        ("huber_delta", ctypes.c_float),
        ("widths", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("parameters", ctypes.c_int64),
        ("moments", ctypes.c_int64),
        ("between", ctypes.POINTER(Between)),
    )


class Rows(ctypes.Structure):
    """A data set in the layout that training or evaluation reads."""

    _fields_ = (
        ("count", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("inputs", ctypes.c_void_p),
        ("targets", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("near", ctypes.c_float),
    )


class Probe(ctypes.Structure):
    """What is to be measured of the layers, and on what."""

    _fields_ = (
        ("training", ctypes.POINTER(Rows)),
        ("validation", ctypes.POINTER(Rows)),
        ("gradient_rows", ctypes.c_int64),
        ("signal_rows", ctypes.c_int64),
        ("signals", ctypes.c_int32),
        ("dead", ctypes.c_int32),
        ("gradients", ctypes.c_int32),
        ("edges", ctypes.c_void_p),
        ("flat_below", ctypes.c_void_p),
        ("healthy", ctypes.c_void_p),
    )


class Sums(ctypes.Structure):
    """What rows added up to."""

    _fields_ = (
        ("loss", ctypes.c_double),
        ("absolute", ctypes.c_double),
        ("squared", ctypes.c_double),
        ("correct", ctypes.c_int64),
        ("lowest", ctypes.c_double),
        ("highest", ctypes.c_double),
    )


@cache
def kernel(folder: Path | None = None) -> ctypes.CDLL:
    """The loaded kernel with its signatures declared.

    Raises:
        KernelUnavailableError: it cannot be compiled or loaded here.
    """
    return declared(load_kernel(folder))


def declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the signatures of a loaded kernel.

    Raises:
        KernelUnavailableError: it was made for another version of this program.
    """
    found = library.firstlight_interface()
    if found != INTERFACE:
        raise KernelUnavailableError(f"the kernel speaks interface {found}, this program {INTERFACE}")
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    library.firstlight_train.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, pointer, pointer, pointer, pointer, pointer,
        ctypes.POINTER(Rows), pointer, pointer, pointer, ctypes.c_uint64, integer, pointer, pointer, pointer, pointer,
    )  # fmt: skip
    library.firstlight_evaluate.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, pointer, integer, ctypes.POINTER(Rows), integer, pointer,
        pointer,
    )  # fmt: skip
    library.firstlight_pool.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, ctypes.POINTER(Rows), ctypes.c_int64, integer, pointer,
        pointer,
    )  # fmt: skip
    library.firstlight_measure.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, ctypes.POINTER(Probe), integer, pointer,
    )  # fmt: skip
    library.firstlight_eigenvalues.argtypes = (pointer, ctypes.c_int64, integer, pointer)
    library.firstlight_draw.argtypes = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64, pointer)
    library.firstlight_activate.argtypes = (integer, pointer, pointer, pointer, ctypes.c_long)
    library.firstlight_activate_exact.argtypes = (integer, pointer, pointer, pointer, ctypes.c_long)
    return library
