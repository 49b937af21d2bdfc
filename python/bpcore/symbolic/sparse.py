"""Sparse matrices: their rows as samples, and as what a first layer is given while a model is traced.

SciPy is never imported: its matrices and arrays are known by their module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics.arrays import Array, as_numbers, is_sparse, to_float
from bpcore.symbolic import operators
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bpcore.symbolic.tracing import Trace

__all__ = [
    "SparseMatrix",
    "SparseTensor",
    "as_matrix",
    "buffer_for",
    "dense",
    "narrowed",
    "plan_inputs",
    "room_for",
    "spec_of",
    "symbolic",
]

_LEAST_CAPACITY = 64


class SparseMatrix:
    """A matrix in compressed rows: row i has `values` at columns `indices`, from indptr[i] to indptr[i + 1].

    It behaves as an array as far as samples are concerned: a shape, a dtype (of the values), a length, slices
    of rows, which share its memory, and rows by number, which are a copy.
    """

    def __init__(self, indptr: Array, indices: Array, values: Array, columns: int, room: int = 0) -> None:
        self.room = room  # of one that is filled again and again
        self.indptr = indptr  # int64
        self.indices = indices  # int32 or int64
        self.values = values
        self.shape = (len(indptr) - 1, columns)
        self.dtype = values.dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> SparseMatrix:
        if isinstance(rows, np.ndarray):
            lengths = np.diff(self.indptr)[rows]
            indptr = np.concatenate([[0], np.cumsum(lengths)])
            places = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
            return SparseMatrix(indptr, self.indices[places], self.values[places], self.shape[1])
        begin, end, _ = rows.indices(len(self))
        return SparseMatrix(self.indptr[begin : end + 1], self.indices, self.values, self.shape[1])

    def __setitem__(self, rows: slice, other: SparseMatrix) -> None:
        """Makes the rows from `rows` on those of `other`; what stands behind them is lost."""
        begin, end, _ = rows.indices(len(self))
        first, last, at = int(other.indptr[0]), int(other.indptr[-1]), int(self.indptr[begin])
        self.indices[at : at + last - first] = other.indices[first:last]
        self.values[at : at + last - first] = other.values[first:last]
        self.indptr[begin : end + 1] = other.indptr - (first - at)

    def copy(self) -> SparseMatrix:
        """The same in memory of its own."""
        parts = (self.indptr.copy(), self.indices.copy(), self.values.copy())
        return SparseMatrix(*parts, self.shape[1], self.room)

    def capacity(self, rows: int) -> int:
        """Room for the elements of any `rows` rows, rounded up, so that few plans serve many batches."""
        return self.room or _rounded(int(np.sort(np.diff(self.indptr))[::-1][:rows].sum()))

    def inputs(self, dtype: str, capacity: int) -> list[Array]:
        """What a plan reads: indptr, indices and values, the latter two of size `capacity`."""
        begin, end = int(self.indptr[0]), int(self.indptr[-1])
        indices, values = np.zeros(capacity, np.int64), np.zeros(capacity, dtype)
        indices[: end - begin] = self.indices[begin:end]
        values[: end - begin] = self.values[begin:end]
        return [self.indptr - begin, indices, values]

    def native(self) -> list[Any]:
        """What a session reads: rows' places, indices, values."""
        return [(self.indptr, None), (self.indptr, self.indices), (self.indptr, self.values)]

    def place(self, at: int) -> tuple[int, int]:
        """Row and column of element number `at`."""
        return int(np.searchsorted(self.indptr, at, "right")) - 1, int(self.indices[at])


def room_for(parts: Sequence[Any]) -> int:
    """Of sparse matrices that will lie one below the other, the capacity; 0 of arrays."""
    if not isinstance(parts[0], SparseMatrix):
        return 0
    return _rounded(sum(int(part.indptr[-1] - part.indptr[0]) for part in parts))


def buffer_for(parts: Sequence[Any]) -> Any:
    """An array, or a sparse matrix, whose rows can become those of `parts`, which are alike."""
    first, rows = parts[0], sum(map(len, parts))
    if not isinstance(first, SparseMatrix):
        return np.empty((rows, *first.shape[1:]), first.dtype)
    room = room_for(parts)
    indptr, indices = np.zeros(rows + 1, np.int64), np.zeros(room, np.int64)
    return SparseMatrix(indptr, indices, np.zeros(room, first.dtype), first.shape[1], room)


def _rounded(elements: int) -> int:
    """The next power of two."""
    return max(_LEAST_CAPACITY, 1 << (elements - 1).bit_length()) if elements else _LEAST_CAPACITY


class SparseTensor:
    """A sparse matrix that a trace will be given; `nn.Dense`, `ops.dense` and `ops.matmul` take it."""

    __array_ufunc__ = None
    ndim = 2

    def __init__(self, indptr: Tensor, indices: Tensor, values: Tensor, columns: int) -> None:
        self.indptr = indptr
        self.indices = indices
        self.values = values
        self.trace = values.trace
        self.shape = (indptr.shape[0] - 1, columns)
        self.dtype = values.dtype

    def __matmul__(self, other: Any) -> Any:
        return dense("matmul", self, other)

    def __repr__(self) -> str:
        return f"SparseTensor(shape={self.shape}, dtype={self.dtype})"


def as_matrix(value: Any, who: str) -> SparseMatrix:
    """A sparse matrix or array of SciPy's in compressed rows; elements at one place are summed.

    Its values and indices are used as they are where they can be. Raises TypeError for values that are not
    real numbers, ValueError for one that is empty, has other than two axes, or is not in order: with places
    of rows that decrease or lie outside, and columns out of range.
    """
    if value.ndim != 2:
        raise ValueError(f"{who} must be a sparse matrix of two axes, got {value.ndim}")
    rows, columns = value.shape
    if rows == 0 or columns == 0:
        raise ValueError(f"{who} is empty: its shape is {value.shape}")
    if value.format != "csr":
        value = value.tocsr()
    _check_structure(value, who)
    if not value.has_canonical_format:
        value = value.copy()
        value.sum_duplicates()
    indices = np.ascontiguousarray(value.indices)
    return SparseMatrix(np.array(value.indptr, np.int64), indices, as_numbers(value.data, who), columns)


def _check_structure(value: Any, who: str) -> None:
    rows, columns = value.shape
    indptr, indices, values = (np.asarray(part) for part in (value.indptr, value.indices, value.data))
    if indptr.shape != (rows + 1,) or indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise ValueError(
            f"{who} is no CSR matrix: its indptr must be integers of shape ({rows + 1},), got {indptr.dtype} "
            f"of shape {indptr.shape}, with indices of {indices.dtype}"
        )
    end = int(indptr[-1])
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or indices.ndim != 1 or indices.shape != values.shape:
        raise ValueError(
            f"{who} is no CSR matrix: its indptr must rise from 0, with as many indices as values"
        )
    if end > len(indices):
        raise ValueError(
            f"{who} is no CSR matrix: its indptr ends at {end}, but it has {len(indices)} values"
        )
    at = core.first_outside(np.ascontiguousarray(indices[:end]), 0, columns)
    if at >= 0:
        row = int(np.searchsorted(indptr, at, "right")) - 1
        raise ValueError(
            f"{who} is no CSR matrix: row {row} has an element in column {indices[at]} of {columns}"
        )


# Between arrays and plans: a spec is (shape, dtype), of a sparse matrix (shape, dtype, capacity).


def spec_of(array: Array | SparseMatrix, dtype: str) -> tuple[Any, ...]:
    """What `symbolic` makes a stand-in for `array` of, in a model of `dtype`."""
    if isinstance(array, SparseMatrix):
        return array.shape, dtype, array.capacity(len(array))
    return array.shape, array.dtype.name


def symbolic(trace: Trace, shape: Sequence[int], dtype: str, capacity: int | None = None) -> Any:
    """A new input of the trace's plan; with a capacity, the three of a sparse matrix."""
    if capacity is None:
        return Tensor(trace, trace.graph.input(shape, dtype))
    indptr = Tensor(trace, trace.graph.input((shape[0] + 1,), "int64"))
    indices = Tensor(trace, trace.graph.input((capacity,), "int64"))
    return SparseTensor(indptr, indices, Tensor(trace, trace.graph.input((capacity,), dtype)), shape[1])


def narrowed(array: Array | SparseMatrix, dtype: str, who: str) -> Array | SparseMatrix:
    """As `to_float`, of a matrix's values too."""
    if not isinstance(array, SparseMatrix):
        return to_float(array, dtype, who)
    return SparseMatrix(array.indptr, array.indices, to_float(array.values, dtype, who), array.shape[1])


def plan_inputs(arrays: Iterable[Array | SparseMatrix], specs: Iterable[tuple[Any, ...]]) -> list[Array]:
    """What a plan reads for `arrays`, one after the other, in the dtypes of their specs."""
    found: list[Array] = []
    for array, (_, dtype, *capacity) in zip(arrays, specs, strict=True):
        if isinstance(array, SparseMatrix):
            found += array.inputs(dtype, *capacity)
        else:
            found.append(np.asarray(array, dtype, order="C"))
    return found


# The product


def dense(who: str, x: Any, weight: Any, bias: Any = None, activation: str = "") -> Any:
    """activation(x @ weight + bias) of a sparse `x` (rows, in); `weight` (in, out), (in,) without a bias."""
    if isinstance(weight, SparseTensor) or is_sparse(weight):
        raise TypeError(f"{who}: only the left operand may be a sparse matrix")
    weight, *rest = operators.unify(who, *((weight,) if bias is None else (weight, bias)))
    if not isinstance(x, (SparseTensor, SparseMatrix)):
        x = as_matrix(x, who)
    if weight.ndim not in (1, 2) or weight.shape[0] != x.shape[1]:
        raise ValueError(f"{who}: a sparse matrix of shape {x.shape} does not fit a weight of {weight.shape}")
    columns = operators.reshape(weight, (-1, 1)) if weight.ndim == 1 else weight
    if isinstance(x, SparseTensor):
        parts: list[Any] = [x.indptr, x.indices, x.values]
    else:
        parts = list(x.inputs(str(weight.dtype), int(x.indptr[-1] - x.indptr[0])))
    y = operators.add("sparse_dense", [*parts, columns, *rest], {"activation": activation})
    return y if weight.ndim == 2 else operators.reshape(y, (-1,))
