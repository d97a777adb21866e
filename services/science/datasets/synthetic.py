"""Generated data sets for teaching: small, free of files, and the same everywhere for the same parameters."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from services.science.datasets.base import BuiltIn, RawData, Task
from services.science.datasets.digests import digest_of
from services.science.streams import Purpose, stream

FloatArray = NDArray[np.float64]
Noise = Annotated[float, Field(ge=0.0, le=10.0, description="Standard deviation of the normal noise that is added.")]


class Synthetic(BuiltIn):
    """Rows drawn from `stream(seed, SYNTHETIC)`; classes take turns, so that every part of the file is balanced."""

    rows: ClassVar[int] = 1_000
    task: ClassVar[Task] = "classification"
    input_shape: ClassVar[tuple[int, ...]] = (2,)
    outputs: ClassVar[int] = 2
    features: ClassVar[tuple[str, ...]] = ("x", "y")
    target: ClassVar[str] = "class"
    licence: ClassVar[str] = "CC0 1.0"
    source: ClassVar[str] = "generated"

    size: int = Field(default=1_000, ge=10, le=1_000_000, description="Rows to generate.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of the rows; not the seeds of the trials.")

    def row_count(self) -> tuple[int, int]:
        return self.size, 0

    @abstractmethod
    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        """Draw ``[size, d]`` inputs and ``[size]`` targets."""
        raise NotImplementedError

    def load(self, data_dir: Path) -> RawData:  # noqa: ARG002 - needs nothing from the data folder
        x, y = self.draw(stream(self.seed, Purpose.SYNTHETIC, 0))
        return RawData(x, y, digest_of(x, y))

    def turns(self, classes: int) -> NDArray[np.int64]:
        """Class of each row: 0, 1, ..., 0, 1, ..."""
        return np.arange(self.size, dtype=np.int64) % classes


class Circles(Synthetic):
    """Two concentric circles: radius 1 (class 0) and `factor` (class 1); no straight line parts them."""

    name: Literal["circles"] = "circles"
    noise: Noise = 0.05
    factor: float = Field(default=0.5, gt=0.0, lt=1.0, description="Radius of the inner circle.")

    description: ClassVar[str] = "Two concentric circles in the plane."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        label = self.turns(2)
        angle = generator.uniform(0.0, 2.0 * np.pi, self.size)
        radius = np.where(label == 0, 1.0, self.factor)
        x = radius[:, None] * np.column_stack((np.cos(angle), np.sin(angle)))
        return x + generator.normal(0.0, self.noise, x.shape), label


class TwoMoons(Synthetic):
    """Two interleaved half circles of radius 1, the second turned over and moved by (1, 1/2)."""

    name: Literal["two_moons"] = "two_moons"
    noise: Noise = 0.1

    description: ClassVar[str] = "Two interleaved half circles in the plane."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        label = self.turns(2)
        angle = generator.uniform(0.0, np.pi, self.size)
        sign = np.where(label == 0, 1.0, -1.0)
        x = np.column_stack((label + sign * np.cos(angle), 0.5 * label + sign * np.sin(angle)))
        return x + generator.normal(0.0, self.noise, x.shape), label


class Spirals(Synthetic):
    """Three arms of an Archimedean spiral from radius 0.1 to 1, each turned by a third of a circle."""

    name: Literal["spirals"] = "spirals"
    noise: Noise = 0.02
    turns_per_arm: float = Field(default=0.75, gt=0.0, le=10.0, description="Full turns each arm makes.")

    outputs: ClassVar[int] = 3
    description: ClassVar[str] = "Three spiral arms in the plane."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        label = self.turns(3)
        along = generator.uniform(0.0, 1.0, self.size)
        angle = 2.0 * np.pi * (label / 3.0 + self.turns_per_arm * along)
        x = (0.1 + 0.9 * along)[:, None] * np.column_stack((np.cos(angle), np.sin(angle)))
        return x + generator.normal(0.0, self.noise, x.shape), label


class Xor(Synthetic):
    """Uniform points of the square [-1, 1]^2; class 1 where the signs differ. No linear model beats chance."""

    name: Literal["xor"] = "xor"
    noise: Noise = 0.0

    description: ClassVar[str] = "The four quadrants of a square, opposite ones in one class."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        label = self.turns(2)
        size = generator.uniform(0.0, 1.0, (self.size, 2))
        sign = generator.choice(np.array([-1.0, 1.0]), self.size)
        x = size * np.column_stack((sign, np.where(label == 0, sign, -sign)))
        return x + generator.normal(0.0, self.noise, x.shape), label


class Blobs(Synthetic):
    """Four normal clouds around (+-1, +-1): linearly separable but for their overlap."""

    name: Literal["blobs"] = "blobs"
    noise: Noise = 0.4

    outputs: ClassVar[int] = 4
    description: ClassVar[str] = "Four normal clouds in the plane."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        label = self.turns(4)
        centre = np.column_stack((2.0 * (label % 2) - 1.0, 2.0 * (label // 2) - 1.0))
        return centre + generator.normal(0.0, self.noise, centre.shape), label


class TeacherStudent(Synthetic):
    """Regression on the output of a random tanh network (the teacher) of standard normal inputs.

    The teacher's weights are normal with variance 1 / fan_in and no biases: ``y = w2 . tanh(x W1) + noise``.
    """

    name: Literal["teacher_student"] = "teacher_student"
    noise: Noise = 0.0
    teacher_width: int = Field(default=8, ge=1, le=1_024, description="Hidden units of the teacher.")

    rows: ClassVar[int] = 1_000
    task: ClassVar[Task] = "regression"
    input_shape: ClassVar[tuple[int, ...]] = (16,)
    outputs: ClassVar[int] = 1
    features: ClassVar[tuple[str, ...]] = tuple(f"x{i}" for i in range(16))
    target: ClassVar[str] = "y"
    description: ClassVar[str] = "Outputs of a random one-hidden-layer tanh network of 16 normal inputs."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        inputs = self.input_shape[0]
        first = generator.normal(0.0, inputs**-0.5, (inputs, self.teacher_width))
        second = generator.normal(0.0, self.teacher_width**-0.5, self.teacher_width)
        x = generator.normal(0.0, 1.0, (self.size, inputs))
        # einsum keeps one summation order, where a BLAS may choose by machine.
        hidden = np.tanh(np.einsum("ni,ih->nh", x, first))
        y = np.einsum("nh,h->n", hidden, second)
        return x, y + generator.normal(0.0, self.noise, self.size)


class GaussianInputs(Synthetic):
    """Regression on a linear function of 500 standard normal inputs: what layers are shown when only they are studied.

    ``x ~ N(0, 1)``, independent, and ``y = x . w + noise`` with ``w ~ N(0, 1/500)``: y too has a variance near 1. The
    inputs are those of the activation histograms of Stanford's CS231n (1,000 rows there).
    """

    name: Literal["gaussian_inputs"] = "gaussian_inputs"
    standardize: bool = Field(default=False, description="Inputs are standard normal as they are drawn.")
    noise: Noise = 0.0

    task: ClassVar[Task] = "regression"
    input_shape: ClassVar[tuple[int, ...]] = (500,)
    outputs: ClassVar[int] = 1
    features: ClassVar[tuple[str, ...]] = tuple(f"x{i}" for i in range(500))
    target: ClassVar[str] = "y"
    description: ClassVar[str] = "500 independent standard normal inputs and a random linear function of them."

    def draw(self, generator: np.random.Generator) -> tuple[FloatArray, NDArray[Any]]:
        inputs = self.input_shape[0]
        weights = generator.normal(0.0, inputs**-0.5, inputs)
        x = generator.normal(0.0, 1.0, (self.size, inputs))
        y = np.einsum("ni,i->n", x, weights)
        return x, y + generator.normal(0.0, self.noise, self.size)


class CourseraCircles(BuiltIn):
    """The circles of the deeplearning.ai exercise on initialization: 300 training rows and 100 test rows.

    scikit-learn's ``make_circles(300, noise=0.05)`` after NumPy's legacy seed 1, and ``make_circles(100, noise=0.05)``
    after seed 2, not standardized. The exercise's own net is 2-10-5-1 with full-batch descent.
    """

    name: Literal["coursera_circles"] = "coursera_circles"
    standardize: bool = Field(default=False, description="The exercise trains on the points as they are.")
    split: Literal["random", "tail"] = Field(default="tail", description="The exercise keeps the rows' order.")

    task: ClassVar[Task] = "classification"
    rows: ClassVar[int] = 300
    test_rows: ClassVar[int] = 100
    input_shape: ClassVar[tuple[int, ...]] = (2,)
    outputs: ClassVar[int] = 2
    features: ClassVar[tuple[str, ...]] = ("x", "y")
    target: ClassVar[str] = "class"
    description: ClassVar[str] = "The 300 + 100 circle points of the deeplearning.ai initialization exercise."
    licence: ClassVar[str] = "CC0 1.0"
    source: ClassVar[str] = "generated by scikit-learn; Improving Deep Neural Networks, week 1, deeplearning.ai"

    def load(self, data_dir: Path) -> RawData:  # noqa: ARG002 - needs nothing from the data folder
        from sklearn.datasets import make_circles  # noqa: PLC0415 - takes a second, and only this data set needs it

        x, y = make_circles(300, noise=0.05, random_state=1)
        x_test, y_test = make_circles(100, noise=0.05, random_state=2)
        x, x_test = np.asarray(x, np.float64), np.asarray(x_test, np.float64)
        y, y_test = np.asarray(y, np.int64), np.asarray(y_test, np.int64)
        return RawData(x, y, digest_of(x, y, x_test, y_test), x_test, y_test)
