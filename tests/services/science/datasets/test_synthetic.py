"""Generated data: the geometry their docstrings promise, and the same rows everywhere."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sklearn.datasets import make_circles
from sklearn.linear_model import LogisticRegression

from services.science.datasets import DATASETS
from services.science.datasets.digests import digest_of
from services.science.datasets.synthetic import (
    Blobs,
    Circles,
    CourseraCircles,
    GaussianInputs,
    Spirals,
    Synthetic,
    TeacherStudent,
    TwoMoons,
    Xor,
)

NOWHERE = Path("no-such-folder")
MEMBERS = [member for member in DATASETS.values() if issubclass(member, Synthetic)]


@pytest.mark.parametrize("member", MEMBERS)
def test_rows_depend_on_the_parameters_only(member: type[Synthetic]) -> None:
    one, again, other = (member(seed=seed).load(NOWHERE) for seed in (0, 0, 1))
    assert one.digest == again.digest != other.digest
    assert one.x.shape == (1_000, *member.input_shape)
    if member.task == "classification":
        assert one.y.dtype == np.int64
        assert np.ptp(np.bincount(one.y, minlength=member.outputs)) <= 1
        assert one.y.max() + 1 == member.outputs
    small = member(size=50).load(NOWHERE)
    assert len(small.x) == len(small.y) == 50


def test_circles_have_their_radii() -> None:
    raw = Circles(noise=0.0, factor=0.3).load(NOWHERE)
    np.testing.assert_allclose(np.hypot(*raw.x.T), np.where(raw.y == 0, 1.0, 0.3), rtol=1e-12)


def test_moons_are_half_circles() -> None:
    raw = TwoMoons(noise=0.0).load(NOWHERE)
    first, second = raw.x[raw.y == 0], raw.x[raw.y == 1] - [1.0, 0.5]
    np.testing.assert_allclose(np.hypot(*first.T), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(*second.T), 1.0, rtol=1e-12)
    assert first[:, 1].min() >= 0.0 >= second[:, 1].max()


def test_spirals_grow_with_the_angle() -> None:
    raw = Spirals(noise=0.0, turns_per_arm=0.5).load(NOWHERE)
    radius = np.hypot(*raw.x.T)
    angle = np.arctan2(raw.x[:, 1], raw.x[:, 0]) / (2 * np.pi) - raw.y / 3
    np.testing.assert_allclose(radius, 0.1 + 0.9 * 2 * (angle % 1.0), rtol=1e-9)


def test_xor_defeats_a_linear_model_and_blobs_do_not() -> None:
    xor = Xor(size=4_000).load(NOWHERE)
    np.testing.assert_array_equal(xor.y, (np.sign(xor.x[:, 0]) != np.sign(xor.x[:, 1])).astype(int))
    assert LogisticRegression().fit(xor.x, xor.y).score(xor.x, xor.y) < 0.56
    blobs = Blobs(noise=0.3, size=4_000).load(NOWHERE)
    assert LogisticRegression().fit(blobs.x, blobs.y).score(blobs.x, blobs.y) > 0.99
    centres = np.array([blobs.x[blobs.y == k].mean(0) for k in range(4)])
    np.testing.assert_allclose(centres, [[-1, -1], [1, -1], [-1, 1], [1, 1]], atol=0.05)


def test_a_teacher_has_the_variance_its_weights_give() -> None:
    wide = TeacherStudent(size=20_000, teacher_width=1_024).load(NOWHERE)
    np.testing.assert_allclose(np.cov(wide.x.T), np.eye(16), atol=0.05)
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    expected = float(weights @ np.tanh(nodes) ** 2) / np.sqrt(2 * np.pi)
    variances = [TeacherStudent(size=200, teacher_width=64, seed=seed).load(NOWHERE).y.var() for seed in range(200)]
    assert np.mean(variances) == pytest.approx(expected, rel=0.1)
    noisy = TeacherStudent(size=20_000, teacher_width=1_024, noise=2.0).load(NOWHERE)
    assert (noisy.y - wide.y).std() == pytest.approx(2.0, rel=0.02)


def test_gaussian_inputs_are_standard_normal_and_their_target_is_linear() -> None:
    raw = GaussianInputs(size=2_000).load(NOWHERE)
    # A million numbers: five standard errors of the mean, the variance and the fourth moment.
    for power, moment, spread in ((1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)):
        assert (raw.x**power).mean() == pytest.approx(moment, abs=5 * (spread / raw.x.size) ** 0.5)
    weights, residual, *_ = np.linalg.lstsq(raw.x, raw.y, rcond=None)
    assert residual.item() < 1e-18
    assert weights @ weights == pytest.approx(1.0, abs=5 * (2 / 500) ** 0.5)
    assert not GaussianInputs().standardize
    noisy = GaussianInputs(size=2_000, noise=2.0).load(NOWHERE)
    assert (noisy.y - raw.y).std() == pytest.approx(2.0, rel=0.1)


def test_the_exercise_circles_are_those_of_the_exercise() -> None:
    raw = CourseraCircles().load(NOWHERE)
    x, y = cast("Any", make_circles(n_samples=300, noise=0.05, random_state=np.random.RandomState(1)))
    x_test, y_test = cast("Any", make_circles(n_samples=100, noise=0.05, random_state=np.random.RandomState(2)))
    for got, array in ((raw.x, x), (raw.y, y), (raw.x_test, x_test), (raw.y_test, y_test)):
        np.testing.assert_array_equal(cast("Any", got), array)
    assert not CourseraCircles().standardize


def test_a_digest_sees_values_shapes_and_types() -> None:
    base = np.arange(6.0)
    digests = {
        digest_of(base),
        digest_of(base.reshape(2, 3)),
        digest_of(base.astype(np.float32)),
        digest_of(base, base),
        digest_of(base + 1e-16 * (base == 0)),
    }
    assert len(digests) == 5
    assert digest_of(base.astype(">f8")) == digest_of(base)
    assert digest_of(np.asfortranarray(base.reshape(2, 3))) == digest_of(base.reshape(2, 3))
