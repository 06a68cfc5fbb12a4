"""Product of a constant sparse matrix with a dense one, with its gradient, fast on a CPU.

The product is an embedding bag: row i of the result is the weighted sum of the dense rows that
row i of the matrix names. On a CPU torch runs bags through FBGEMM, which is several times faster
here than its compressed-row product (``benchmarks/parts.py ssdrec`` times both). One thread sums
each row in a fixed order, so results are reproducible bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bench.model.shapes import is_static


@dataclass(frozen=True, eq=False)
class Bags:
    """A sparse matrix as bags: bag i lists the entries of row i.

    Attributes
    ----------
    columns
        int32 ``[nnz]``: column of each entry, row by row.
    entries
        float ``[nnz]``: value of each entry.
    starts
        int32 ``[rows + 1]``: index of each row's first entry.
    """

    columns: Tensor
    entries: Tensor
    starts: Tensor

    def multiply(self, dense: Tensor) -> Tensor:
        """Multiply by ``dense [N, D]``, without a gradient of its own."""
        if not len(self.columns):
            return dense.new_zeros(len(self.starts) - 1, dense.shape[1])
        return functional.embedding_bag(
            self.columns,
            dense,
            self.starts,
            mode="sum",
            per_sample_weights=self.entries,
            include_last_offset=True,
        )

    def take(self, rows: Tensor) -> Bags:
        """Select rows: int64 ``[R]``, in any order, repetitions allowed."""
        begin = self.starts[rows].long()
        sizes = self.starts[rows + 1] - begin
        ends = sizes.cumsum(0)
        shift = torch.repeat_interleave(begin - (ends - sizes), sizes)
        index = torch.arange(len(shift), device=rows.device) + shift
        starts = functional.pad(ends, (1, 0)).int()
        return Bags(self.columns[index], self.entries[index], starts)

    def transposed(self, columns: int) -> Bags:
        """Transpose; ``columns`` is N."""
        sizes = self.starts.diff().long()
        row = torch.arange(len(sizes), dtype=torch.int32, device=sizes.device)
        ordered, order = torch.sort(self.columns, stable=True)
        every = torch.arange(columns + 1, dtype=ordered.dtype, device=ordered.device)
        starts = torch.searchsorted(ordered, every, out_int32=True)
        rows = torch.repeat_interleave(row, sizes, output_size=len(order))
        return Bags(rows[order], self.entries[order], starts)


class SparseMatrix(nn.Module):
    """A constant matrix ``[M, N]``; its transpose is kept for the gradient.

    Its buffers follow the model to its device and are not part of a checkpoint.

    Parameters
    ----------
    matrix
        Any scipy sparse matrix with fewer than 2^31 entries; values are used in float32.
    transpose
        Whether the transpose is kept. Without it only :meth:`of_rows` has a gradient, which halves
        the memory of a CPU where training needs only a few rows at a time.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    transposed_starts: Tensor
    transposed_columns: Tensor
    transposed_values: Tensor
    order: Tensor

    def __init__(self, matrix: Any, *, transpose: bool = True) -> None:
        super().__init__()
        rows = sparse.csr_array(matrix, copy=True)  # summing duplicates works in place
        rows.sum_duplicates()
        self.shape = (int(rows.shape[0]), int(rows.shape[1]))
        self._back: Bags | None = None
        self._register_arrays(starts=rows.indptr, columns=rows.indices, values=rows.data)
        if transpose:
            # Transposing the entries' indices shows where each entry goes.
            numbers = np.arange(rows.nnz, dtype=np.int32)
            back = sparse.csr_array((numbers, rows.indices, rows.indptr), rows.shape).T.tocsr()
            self._register_arrays(
                transposed_starts=back.indptr,
                transposed_columns=back.indices,
                transposed_values=rows.data[back.data],
                order=back.data,
            )

    def _register_arrays(self, **arrays: Any) -> None:
        for name, array in arrays.items():
            kind = np.float32 if name.endswith("values") else np.int32
            self.register_buffer(name, torch.from_numpy(array.astype(kind)), persistent=False)

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
            ``[nnz]`` entries to use in place of the matrix's own, in the order of :attr:`columns`
            (row by row, columns ascending); they receive no gradient.

        Returns
        -------
        Tensor
            ``[M, D]``, zero for an empty row; float32 under autocast too.
        """
        dense_float = _at_least_float32(dense)
        given = None if values is None else values.detach().to(dense_float.dtype)

        def back() -> Bags:
            entries = self.transposed_values if given is None else given[self.order]
            return Bags(
                self.transposed_columns, entries.to(dense_float.dtype), self.transposed_starts
            )

        entries = self.values.to(dense_float.dtype) if given is None else given
        return _product(dense_float, Bags(self.columns, entries, self.starts), back)

    def of_rows(self, rows: Tensor, dense: Tensor) -> Tensor:
        """Multiply some rows only.

        Parameters
        ----------
        rows
            int64 ``[R]``, repetitions allowed.
        dense
            ``[N, D]``; receives the gradient.

        Returns
        -------
        Tensor
            ``[R, D]``.
        """
        dense_float = _at_least_float32(dense)
        bags = Bags(self.columns, self.values.to(dense_float.dtype), self.starts)
        if is_static(dense.device):
            # How many entries the rows have, a GPU would have to be asked.
            return functional.embedding(rows, _product(dense_float, bags, self._transposed))
        bags = bags.take(rows)
        return _product(dense_float, bags, lambda: bags.transposed(self.shape[1]))

    def _transposed(self) -> Bags:
        """Transpose at the first gradient on this device; what is built is kept."""
        if self._back is None or self._back.columns.device != self.columns.device:
            self._back = Bags(self.columns, self.values, self.starts).transposed(self.shape[1])
        return self._back

    def extra_repr(self) -> str:
        """Return shape and number of entries, for ``repr``."""
        return f"{self.shape[0]} x {self.shape[1]}, nnz={self.nnz}"


def _at_least_float32(dense: Tensor) -> Tensor:
    return dense if dense.dtype == torch.float64 else dense.float()


def _product(dense: Tensor, bags: Bags, transposed: Callable[[], Bags]) -> Tensor:
    return cast("Tensor", _Product.apply(dense, bags, transposed))  # type: ignore[no-untyped-call]


class _Product(torch.autograd.Function):
    """Multiply bags with a dense matrix; the transpose is built only when a gradient is needed."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, bags: Bags, transposed: Callable[[], Bags]) -> Tensor:
        ctx.transposed = transposed
        return bags.multiply(dense)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        back: Bags = ctx.transposed()
        return back.multiply(gradient.contiguous()), None, None
