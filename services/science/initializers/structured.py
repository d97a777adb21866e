"""Random weights whose entries are not independent: orthogonal, delta-orthogonal, sparse."""

import math
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.shapes import centre_tap, matrix_shape

SAXE_2014 = "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning"
XIAO_2018 = "Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018, Dynamical isometry in CNNs"


def draw_orthogonal(rows: int, columns: int, rng: np.random.Generator) -> FloatArray:
    """A matrix with orthonormal rows or columns, whichever are fewer, uniform among all such.

    QR of a normal matrix of shape (rows, columns), transposed first if it is wide; each column of Q takes the sign of
    R's diagonal, without which the draw is not uniform (Mezzadri 2007, How to generate random matrices).
    """
    normal = rng.normal(0.0, 1.0, (rows, columns))
    q, r = np.linalg.qr(normal.T if rows < columns else normal)
    q = q * np.where(np.diag(r) < 0.0, -1.0, 1.0)
    return np.ascontiguousarray(q.T if rows < columns else q)


def orthogonal_moments(rows: int, columns: int, gain: float) -> Moments:
    """Moments of one entry: the squares of a unit vector of the longer side's length sum to one."""
    return Moments(0.0, gain / math.sqrt(max(rows, columns)), -gain, gain)


class Orthogonal(BaseInitializer):
    """A uniform random (semi-)orthogonal matrix times a gain: all its singular values are the gain.

    A kernel is flattened to (out, in * window), so that its filters are orthonormal.
    """

    kind: Literal["orthogonal"] = "orthogonal"
    gain: float = Field(default=1.0, gt=0.0, le=LARGEST)

    formula = "gain Q, Q^T Q = I or Q Q^T = I"
    fan_convention = "the longer side"
    gain_note = "sigma_w^2 = gain^2 in a square or narrowing layer, gain^2 fan_in / fan_out in a widening one"
    references = (SAXE_2014, "Keras Orthogonal; torch.nn.init.orthogonal_")

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return self.gain * draw_orthogonal(*matrix_shape(self.kind, shape), rng).reshape(shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return orthogonal_moments(*matrix_shape(self.kind, shape), self.gain)


class DeltaOrthogonal(BaseInitializer):
    """A kernel whose middle tap is orthogonal and whose other taps are zero; a dense weight is plainly orthogonal.

    Keeps the norm of every pixel's channels, hence at most as many input as output channels.
    """

    kind: Literal["delta_orthogonal"] = "delta_orthogonal"
    gain: float = Field(default=1.0, gt=0.0, le=LARGEST)

    formula = "gain Q at the middle tap, 0 elsewhere"
    fan_convention = "channels, not fans"
    gain_note = "gain^2 takes sigma_w^2's place: a signal's norm is multiplied by the gain exactly"
    references = (f"{XIAO_2018}, algorithm 1",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        self._check(shape)
        matrix = self.gain * draw_orthogonal(shape[0], shape[1], rng)
        return matrix if len(shape) == 2 else centre_tap(shape, matrix)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        self._check(shape)
        of_matrix = orthogonal_moments(shape[0], shape[1], self.gain)
        window = math.prod(shape[2:])
        return Moments(0.0, self.gain / math.sqrt(max(shape[:2]) * window), of_matrix.low, of_matrix.high)

    def _check(self, shape: Shape) -> None:
        matrix_shape(self.kind, shape)
        if len(shape) > 2 and shape[1] > shape[0]:
            raise ValueError(
                f"delta_orthogonal needs at most as many input as output channels, not {shape[1]} > {shape[0]}"
            )


class Sparse(BaseInitializer):
    """Normal weights of which each input unit keeps only a few: ceil(sparsity * outputs) of its weights are zero.

    PyTorch's meaning, which zeroes along the columns of its (out, in) weight. Dense layers only. The normals are drawn
    first; then a uniform of the same shape, whose smallest entries in each row mark the zeros.
    """

    kind: Literal["sparse"] = "sparse"
    sparsity: float = Field(default=0.9, ge=0.0, le=1.0, description="Share of each input unit's weights that is zero.")
    std: float = Field(default=0.01, ge=0.0, le=LARGEST)

    formula = "N(0, std^2), ceil(sparsity fan_out) zeros in each row of (fan_in, fan_out)"
    fan_convention = "none"
    gain_note = "sigma_w^2 = (1 - sparsity) fan_in std^2"
    references = ("Martens 2010, Deep learning via Hessian-free optimization, section 5", "torch.nn.init.sparse_")

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        zeros = self._zeros(shape)
        weight = rng.normal(0.0, self.std, shape)
        order = np.argsort(rng.uniform(0.0, 1.0, shape), axis=1, kind="stable")
        np.put_along_axis(weight, order[:, :zeros], 0.0, axis=1)
        return weight

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        share = self._zeros(shape) / shape[1]
        nothing = share == 1.0 or self.std == 0.0
        std = self.std * math.sqrt(1.0 - share)
        return Moments(0.0, 0.0, 0.0, 0.0) if nothing else Moments(0.0, std, None, None)

    def _zeros(self, shape: Shape) -> int:
        if len(shape) != 2:
            raise ValueError(f"sparse needs a dense weight of two axes, not shape {shape}")
        return math.ceil(self.sparsity * shape[1])
