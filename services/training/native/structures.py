"""The structures and signatures shared with the compiled kernel, as ctypes.

The C++ side is in shape.hpp, rows.hpp, losses.hpp, optimizers.hpp and measure.hpp; interface.hpp tells its layout.
"""

import ctypes
import itertools
from functools import cache
from pathlib import Path

import numpy as np

from services.science.diagnostics import HISTOGRAM_EDGES
from services.training.native.build import KernelUnavailableError, load_kernel
from services.training.native.members import CODES

INTERFACE = 10
"""Bumped on both sides with every change of a signature; structures are compared field by field."""


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
        ("edges_count", ctypes.c_int32),
        ("edges", ctypes.c_void_p),
        ("flat_below", ctypes.c_void_p),
        ("healthy", ctypes.c_void_p),
    )


class Control(ctypes.Structure):
    """What the caller and the kernel's threads tell each other; read and written by the kernel's own functions."""

    _fields_ = (("stop", ctypes.c_int32), ("done", ctypes.c_int64))


SUMS = np.dtype(
    [("loss", "f8"), ("absolute", "f8"), ("squared", "f8"), ("correct", "i8"), ("lowest", "f8"), ("highest", "f8")]
)
"""`Sums` of losses.hpp: what a trial's rows added up to."""

LAYER = np.dtype(
    [
        ("pre_activation_mean", "f8"),
        ("pre_activation_variance", "f8"),
        ("activation_mean", "f8"),
        ("activation_variance", "f8"),
        ("gradient_norm", "f8"),
        ("gradient_variance", "f8"),
        ("backward_second_moment", "f8"),
        ("flat", "i8"),
        ("dead", "i8"),
        ("counts", "i8", len(HISTOGRAM_EDGES) + 1),
    ]
)
"""`LayerNumbers` of measure.hpp: `flat` counts activations, `dead` units; `counts` begins below the first edge."""


def layout() -> str:
    """The layout of all that is shared, as interface.hpp writes it."""
    lines: list[str] = []
    for structure in (Settings, Between, Shape, Rows, Probe, Control):
        fields = [(name, getattr(structure, name)) for name in [field[0] for field in structure._fields_]]
        places = [f"{name}:{field.offset}:{field.size}" for name, field in fields]
        lines.append(" ".join([structure.__name__, str(ctypes.sizeof(structure)), *places]))
    for name, dtype in (("Sums", SUMS), ("LayerNumbers", LAYER)):
        fields = dtype.fields or {}
        places = [f"{key}:{place[1]}:{place[0].itemsize}" for key, place in fields.items()]
        lines.append(" ".join([name, str(dtype.itemsize), *places]))
    lines.append(" ".join(["activations", *CODES]))
    return "".join(f"{line}\n" for line in lines)


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
    interface = library.firstlight_interface()
    if interface != INTERFACE:
        raise KernelUnavailableError(f"the kernel speaks interface {interface}, this program {INTERFACE}")
    library.firstlight_layout.restype = ctypes.c_char_p
    theirs = library.firstlight_layout().decode().splitlines()
    for ours, other in itertools.zip_longest(layout().splitlines(), theirs):
        if ours != other:
            raise KernelUnavailableError(f"the kernel lays out {other!r}, this program {ours!r}")
    pointer, integer, control = ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Control)
    library.firstlight_stop.argtypes = (control,)
    library.firstlight_done.argtypes = (control,)
    library.firstlight_done.restype = ctypes.c_int64
    library.firstlight_train.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, pointer, pointer, pointer, pointer, pointer,
        ctypes.POINTER(Rows), pointer, pointer, pointer, ctypes.c_uint64, integer, control, pointer, pointer, pointer,
    )  # fmt: skip
    library.firstlight_evaluate.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, pointer, integer, ctypes.POINTER(Rows), integer, control,
        pointer,
    )  # fmt: skip
    library.firstlight_pool.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, ctypes.POINTER(Rows), ctypes.c_int64, integer, control,
        pointer,
    )  # fmt: skip
    library.firstlight_measure.argtypes = (
        ctypes.POINTER(Shape), integer, pointer, pointer, ctypes.POINTER(Probe), integer, pointer,
    )  # fmt: skip
    library.firstlight_eigenvalues.argtypes = (pointer, ctypes.c_int64, integer, pointer)
    library.firstlight_draw.argtypes = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64, pointer)
    library.firstlight_square_roots.argtypes = (pointer, ctypes.c_long)
    library.firstlight_activate.argtypes = (integer, pointer, pointer, pointer, ctypes.c_long)
    library.firstlight_activate_exact.argtypes = (integer, pointer, pointer, pointer, ctypes.c_long)
    return library
