"""The sparse product against scipy, dense autograd and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from bench.methods.parts.sparse import SparseMatrix


def random_matrix(rows, columns, density=0.2, seed=0):
    return sparse.random(rows, columns, density, format="csr", dtype=np.float32, random_state=seed)


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    density=st.floats(0, 1, allow_subnormal=False),  # training flushes them to zero
    seed=st.integers(0, 99),
)
def test_product_and_gradient_equal_the_dense_ones(rows, columns, density, seed):
    matrix = random_matrix(rows, columns, density, seed)
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(columns, 5, generator=generator).requires_grad_()
    upstream = torch.randn(rows, 5, generator=generator)
    full = torch.from_numpy(matrix.toarray())
    product = SparseMatrix(matrix)(dense)
    (gradient,) = torch.autograd.grad(product, dense, upstream)
    torch.testing.assert_close(product, full @ dense)
    torch.testing.assert_close(gradient, full.T @ upstream)


def test_gradient_equals_finite_differences():
    matrix = SparseMatrix(random_matrix(6, 4, 0.5))
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix, (x,))


def test_values_of_a_pass_take_the_place_of_the_matrix_own():
    scipy_matrix = random_matrix(7, 5, 0.4)
    matrix = SparseMatrix(scipy_matrix)
    values = torch.randn(matrix.nnz)
    other = sparse.csr_array(
        (values.numpy(), scipy_matrix.indices, scipy_matrix.indptr), scipy_matrix.shape
    )
    x = torch.randn(5, 2, requires_grad=True)
    product = matrix(x, values)
    np.testing.assert_allclose(product.detach().numpy(), other @ x.detach().numpy(), rtol=1e-5)
    (gradient,) = torch.autograd.grad(product.sum(), x)
    np.testing.assert_allclose(gradient.numpy(), other.T @ np.ones((7, 2)), rtol=1e-5)
    assert not torch.equal(matrix(x), product)


@pytest.mark.parametrize("transpose", [True, False])
def test_some_rows_equal_those_of_the_whole_product(transpose):
    scipy_matrix = random_matrix(9, 6, 0.4)
    matrix = SparseMatrix(scipy_matrix, transpose=transpose)
    rows = torch.tensor([3, 0, 3, 8])
    x, upstream = torch.randn(6, 2, requires_grad=True), torch.randn(4, 2)
    full = torch.from_numpy(scipy_matrix.toarray())[rows]
    product = matrix.of_rows(rows, x)
    (gradient,) = torch.autograd.grad(product, x, upstream)
    torch.testing.assert_close(product, full @ x)
    torch.testing.assert_close(gradient, full.T @ upstream)


def test_empty_rows_may_be_all_that_is_asked_for():
    matrix = SparseMatrix(sparse.coo_array(([1.0], ([0], [1])), (3, 2)))
    x = torch.ones(2, 4, requires_grad=True)
    product = matrix.of_rows(torch.tensor([2, 1]), x)
    product.sum().backward()
    assert not product.any()
    assert not x.grad.any()


def test_values_follow_the_rows_with_ascending_columns():
    unsorted = sparse.coo_array(([3.0, 1.0, 2.0], ([1, 0, 1], [2, 1, 0])), (2, 3))
    matrix = SparseMatrix(unsorted)
    assert matrix.columns.tolist() == [1, 0, 2]
    assert matrix.values.tolist() == [1.0, 2.0, 3.0]


def test_duplicates_are_summed_and_empty_rows_are_zero():
    matrix = SparseMatrix(sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), (2, 2)))
    assert matrix.nnz == 1
    assert matrix(torch.eye(2)).tolist() == [[0, 3], [0, 0]]


def test_buffers_stay_out_of_checkpoints():
    assert not SparseMatrix(random_matrix(3, 3)).state_dict()


def test_autocast_computes_in_float32():
    matrix = SparseMatrix(random_matrix(20, 20))
    x = torch.randn(20, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = matrix(x.bfloat16())
    assert half.dtype == torch.float32
    assert torch.equal(half, matrix(x.bfloat16().float()))


@pytest.mark.parametrize("threads", [1, 2])
def test_repeats_itself_whatever_the_threads(threads):
    matrix, x = SparseMatrix(random_matrix(300, 300)), torch.arange(1200.0).sin().view(300, 4)
    before = torch.get_num_threads()
    reference = matrix(x)
    torch.set_num_threads(threads)
    try:
        assert torch.equal(matrix(x), reference)
    finally:
        torch.set_num_threads(before)
