"""Orthogonal, identity, dirac, sparse and ZerO weights have the structure they are named for."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from scipy import stats

from services.science.initializers import BaseInitializer, Initializer, LayerContext
from services.science.streams import Purpose, stream

ADAPTER: TypeAdapter[BaseInitializer] = TypeAdapter(Initializer)


def drawn(spec: object, shape: tuple[int, ...], seed: int = 0, **fields: bool) -> np.ndarray:
    context = LayerContext.of(shape, **fields)
    return ADAPTER.validate_python(spec).draw(shape, stream(seed, Purpose.WEIGHTS), context)


@pytest.mark.parametrize("kind", ["orthogonal", "lsuv"])
@pytest.mark.parametrize("shape", [(30, 30), (50, 20), (20, 50), (1, 8), (16, 4, 3, 3), (40, 2, 3, 3)])
def test_every_singular_value_of_an_orthogonal_weight_is_its_gain(kind: str, shape: tuple[int, ...]) -> None:
    matrix = drawn(kind, shape).reshape(shape[0], -1)
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False), 1.0, rtol=1e-12)
    if kind == "orthogonal":
        doubled = drawn({"kind": "orthogonal", "gain": 2.0}, shape).reshape(shape[0], -1)
        np.testing.assert_allclose(doubled, 2.0 * matrix, rtol=1e-14)


def test_orthogonal_draws_are_uniform_over_rotations_and_reflections() -> None:
    # The angle of a uniform 2x2 orthogonal matrix is uniform, and half of them reflect.
    matrices = [drawn("orthogonal", (2, 2), seed) for seed in range(600)]
    angles = [np.arctan2(m[1, 0], m[0, 0]) for m in matrices]
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-5
    reflections = sum(np.linalg.det(m) < 0 for m in matrices)
    assert stats.binomtest(reflections, 600).pvalue > 1e-5


def test_an_orthogonal_weight_is_what_a_short_script_draws() -> None:
    normal = np.random.Generator(np.random.Philox(key=np.array([3, 1 << 32], dtype=np.uint64))).normal(0, 1, (5, 9))
    q, r = np.linalg.qr(normal.T)
    np.testing.assert_array_equal(drawn("orthogonal", (5, 9), 3), (q * np.sign(np.diag(r))).T)


def test_a_vector_has_no_orthogonal_form() -> None:
    with pytest.raises(ValueError, match="orthogonal needs a weight of at least two axes"):
        drawn("orthogonal", (5,))


@pytest.mark.parametrize("window", [(3, 3), (5,), (4, 4)])
def test_delta_orthogonal_kernels_act_on_one_pixel_and_keep_its_norm(window: tuple[int, ...]) -> None:
    kernel = drawn("delta_orthogonal", (24, 16, *window))
    middle = kernel[(slice(None), slice(None), *(size // 2 for size in window))]
    np.testing.assert_allclose(middle.T @ middle, np.eye(16), atol=1e-12)
    assert np.count_nonzero(kernel) == np.count_nonzero(middle)
    with pytest.raises(ValueError, match="at most as many input as output channels, not 24 > 16"):
        drawn("delta_orthogonal", (16, 24, *window))


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3)])
def test_identity_passes_on_what_fits(shape: tuple[int, int]) -> None:
    weight = drawn({"kind": "identity", "gain": 2.0}, shape)
    x = np.arange(1.0, 1.0 + shape[0])
    rank = min(shape)
    np.testing.assert_array_equal((x @ weight)[:rank], 2.0 * x[:rank])
    np.testing.assert_array_equal((x @ weight)[rank:], 0.0)
    np.testing.assert_array_equal(drawn("identity", shape), torch.nn.init.eye_(torch.empty(shape)).numpy())
    with pytest.raises(ValueError, match="dirac is its kernel form"):
        drawn("identity", (4, 4, 3, 3))


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(12, 4, 3, 3), (6, 8, 5), (6, 6, 2, 2), (6, 2, 3, 3, 3)])
def test_dirac_is_torchs(shape: tuple[int, ...], groups: int) -> None:
    ours = drawn({"kind": "dirac", "groups": groups}, shape)
    np.testing.assert_array_equal(ours, torch.nn.init.dirac_(torch.empty(shape), groups).numpy())


def test_dirac_has_a_dense_form_and_needs_groups_that_divide() -> None:
    np.testing.assert_array_equal(drawn("dirac", (5, 3)), np.eye(5, 3))
    with pytest.raises(ValueError, match="must divide the 10 output channels, but 3 does not"):
        drawn({"kind": "dirac", "groups": 3}, (10, 4, 3, 3))


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9, 1.0])
def test_sparse_leaves_torchs_number_of_weights_to_every_input(sparsity: float) -> None:
    ours = drawn({"kind": "sparse", "sparsity": sparsity, "std": 1.0}, (40, 30))
    # PyTorch's weight is (out, in): its columns are our rows.
    theirs = torch.nn.init.sparse_(torch.empty(30, 40), sparsity, 1.0)
    np.testing.assert_array_equal((ours == 0).sum(axis=1), (theirs == 0).sum(dim=0).numpy())
    assert len(set((ours == 0).sum(axis=0).tolist())) > 1 or sparsity in {0.0, 1.0}
    with pytest.raises(ValueError, match="sparse needs a dense weight"):
        drawn("sparse", (4, 4, 3, 3))


def test_zero_is_orthonormal_where_the_width_is_a_power_of_two_and_breaks_the_symmetry() -> None:
    widening = drawn("zero", (20, 64))
    np.testing.assert_allclose(widening @ widening.T, np.eye(20), atol=1e-12)
    np.testing.assert_allclose(np.abs(widening), 1 / 8)
    np.testing.assert_array_equal(drawn("zero", (64, 20)), np.eye(64, 20))
    np.testing.assert_array_equal(drawn("zero", (20, 64), seed=1), widening)
    ragged = drawn("zero", (20, 50))
    np.testing.assert_allclose(np.abs(ragged), 1 / 8)
    np.testing.assert_array_equal(ragged, widening[:, :50])
    # Every pair of units that has 20 inputs in common to tell apart is told apart by a full Hadamard matrix.
    assert len(np.unique(drawn("zero", (63, 64)), axis=1).T) == 64


def test_zero_kernels_hold_the_dense_form_at_the_middle_and_residual_branches_end_in_zeros() -> None:
    kernel = drawn("zero", (32, 8, 3, 3))
    np.testing.assert_array_equal(kernel[:, :, 1, 1].T, drawn("zero", (8, 32)))
    assert np.count_nonzero(kernel) == 8 * 32
    assert not drawn("zero", (16, 16), is_residual_last=True).any()
