"""A constant sparse matrix times a dense one, with its gradient, fast on a CPU.

The product is an embedding bag: row i of the result is the weighted sum of the dense rows that
row i of the matrix names. On a CPU torch runs bags through FBGEMM, which here is several times
faster than its compressed-row product (``bench perf parts ssdrec`` prints both); each row is summed
by one thread in a fixed order, so results repeat bit for bit.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class SparseMatrix(nn.Module):
    """A matrix ``[M, N]`` whose places are fixed; its transpose is kept for the gradient.

    It holds buffers that follow the model to its device and never enter a checkpoint.

    Parameters
    ----------
    matrix
        Any scipy sparse matrix of fewer than 2^31 entries; the product uses its values in float32.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    transposed_starts: Tensor
    transposed_columns: Tensor
    order: Tensor

    def __init__(self, matrix: Any) -> None:
        super().__init__()
        rows = sparse.csr_array(matrix, copy=True)  # summing duplicates works in place
        rows.sum_duplicates()
        # Numbering the entries before transposing tells where each one goes.
        numbered = sparse.csr_array((np.arange(rows.nnz), rows.indices, rows.indptr), rows.shape)
        back = numbered.T.tocsr()
        self.shape = (int(rows.shape[0]), int(rows.shape[1]))
        arrays = {
            "starts": rows.indptr.astype(np.int32),
            "columns": rows.indices.astype(np.int32),
            "values": rows.data.astype(np.float32),
            "transposed_starts": back.indptr.astype(np.int32),
            "transposed_columns": back.indices.astype(np.int32),
            "order": back.data.astype(np.int32),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return len(self.columns)

    def forward(self, dense: Tensor, values: Tensor | None = None) -> Tensor:
        """Multiply ``[M, N]`` by ``[N, D]``.

        Parameters
        ----------
        dense
            ``[N, D]``; receives the gradient ``A^T G``.
        values
            ``[nnz]`` entries for this pass instead of the matrix's own, in the order of
            :attr:`columns` (row by row, columns ascending); they receive no gradient.

        Returns
        -------
        Tensor
            ``[M, D]``, zero where a row is empty; float32 under autocast too.
        """
        wide = dense if dense.dtype == torch.float64 else dense.float()
        entries = (self.values if values is None else values.detach()).to(wide.dtype)
        product = _Product.apply(wide, entries, self)  # type: ignore[no-untyped-call]
        return cast("Tensor", product)

    def extra_repr(self) -> str:
        """Shape and number of entries, as modules print themselves."""
        return f"{self.shape[0]} x {self.shape[1]}, nnz={self.nnz}"


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dense: Tensor, entries: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(entries)
        return _bags(dense, entries, matrix.columns, matrix.starts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        matrix: SparseMatrix = ctx.matrix
        (entries,) = ctx.saved_tensors
        columns, starts = matrix.transposed_columns, matrix.transposed_starts
        return _bags(gradient.contiguous(), entries[matrix.order], columns, starts), None, None


def _bags(dense: Tensor, entries: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
    """Sum ``entries[k] * dense[columns[k]]`` over k in starts[i] .. starts[i + 1] - 1, all i."""
    if not len(columns):
        return dense.new_zeros(len(starts) - 1, dense.shape[1])
    return functional.embedding_bag(
        columns, dense, starts, mode="sum", per_sample_weights=entries, include_last_offset=True
    )
