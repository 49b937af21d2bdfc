"""Arrays with one row a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore._native import core
from bpcore.arrays import Array, as_numbers, is_sparse
from bpcore.sparse import SparseMatrix, as_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore._core import Plan

__all__ = [
    "Samples",
    "Signature",
    "check_indices",
    "check_labels",
    "inputs_of",
    "samples",
    "split_at",
]

# The graph's dtype for each kind of NumPy dtype but floats, which take the model's.
_KINDS = {"b": "bool", "i": "int64", "u": "int64"}


class Signature(NamedTuple):
    """What a plan depends on: the rows of a batch, and each array's shape of a row and dtype in the graph.

    Of a sparse matrix also the capacity, see `sparse.symbolic`.
    """

    rows: int
    arrays: tuple[tuple[Any, ...], ...]
    target: bool
    weighted: bool

    def specs(self) -> list[tuple[Any, ...]]:
        """What `sparse.symbolic` makes each input of a plan for these batches of."""
        return [((self.rows, *shape), *rest) for shape, *rest in self.arrays]


class Samples(NamedTuple):
    """Arrays with one row a sample: a model's inputs, then the target and the weights where there are any."""

    arrays: tuple[Any, ...]  # NumPy's, but for inputs that are `SparseMatrix`
    names: tuple[str, ...]
    target: bool
    weighted: bool

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.arrays[0])

    @property
    def targets(self) -> Array:
        """The target, where there is one."""
        target: Array = self.arrays[-2 if self.weighted else -1]
        return target

    def native(self) -> list[Any]:
        """What a native session takes for them, one entry for each input of its plan."""
        return [
            part
            for array in self.arrays
            for part in (array.native() if isinstance(array, SparseMatrix) else [array])
        ]

    def signature(self, rows: int, dtype: str) -> Signature:
        """What a plan for batches of `rows` depends on, in a model of `dtype`."""
        kinds = tuple(
            (array.shape[1:], dtype, array.capacity(rows))
            if isinstance(array, SparseMatrix)
            else (array.shape[1:], _KINDS.get(array.dtype.kind, dtype))
            for array in self.arrays
        )
        return Signature(rows, kinds, self.target, self.weighted)

    def split(self, at: int) -> tuple[Samples, Samples]:
        """The samples before row `at` and those from it on."""
        head = self._replace(arrays=tuple(array[:at] for array in self.arrays))
        return head, self._replace(arrays=tuple(array[at:] for array in self.arrays))


def inputs_of(x: Any) -> list[Any]:
    """The arrays that `x` stands for: a tuple with arrays in it is several, everything else is one."""
    several = isinstance(x, tuple) and any(isinstance(each, np.ndarray) or is_sparse(each) for each in x)
    return list(x) if several else [x]


def samples(
    who: str, inputs: Sequence[Any], target: Any, weight: Any, dtype: str, check_finite: bool
) -> Samples:
    """The arrays of a call, all with the same number of rows.

    Raises TypeError for what isn't numbers, ValueError for ragged or empty data, different lengths, NaN and
    infinity (unless `check_finite` is False), values that overflow `dtype`, and weights that are negative,
    all zero, or not one a sample.
    """
    if not inputs:
        raise TypeError(f"{who}: no input was given")
    parts = list(inputs)
    names = ["x"] if len(parts) == 1 else [f"input {i}" for i in range(len(parts))]
    if target is not None:
        parts.append(target)
        names.append("y")
    if weight is not None:
        parts.append(weight)
        names.append("sample_weight")
    arrays: list[Any] = [
        as_matrix(part, f"{who}: {name}")
        if number < len(inputs) and is_sparse(part)
        else _rows(part, f"{who}: {name}")
        for number, (part, name) in enumerate(zip(parts, names, strict=True))
    ]
    for array, name in zip(arrays, names, strict=True):
        if len(array) != len(arrays[0]):
            raise ValueError(f"{who}: {names[0]} has {len(arrays[0])} samples, {name} has {len(array)}")
        if array.dtype.kind == "f":
            _check_values(array, f"{who}: {name}", dtype, check_finite)
    if weight is not None:
        arrays[-1] = _check_weights(arrays[-1], who, dtype)
    return Samples(tuple(arrays), tuple(names), target is not None, weight is not None)


def _rows(value: Any, who: str) -> Array:
    array = as_numbers(value, who)
    if array.ndim == 0:
        raise ValueError(f"{who} must have one row a sample, got a single number")
    if array.size == 0:
        raise ValueError(f"{who} is empty: its shape is {array.shape}")
    return array


def _check_values(array: Any, who: str, dtype: str, check_finite: bool) -> None:
    values: Array = array.values if isinstance(array, SparseMatrix) else array
    at = core.first_not_finite(values, dtype)
    if at >= 0 and not check_finite:  # NaN and infinity are allowed, to become infinite is not
        large = np.isfinite(values) & (np.abs(values) > np.finfo(dtype).max)
        at = int(np.argmax(large)) if large.any() else -1
    if at < 0:
        return
    indices = array.place(at) if isinstance(array, SparseMatrix) else np.unravel_index(at, array.shape)
    place = f"{who}[{', '.join(str(i) for i in indices)}]"
    value = values.flat[at]
    if np.isfinite(value):
        raise ValueError(f"{place} is {value}, which overflows {dtype}")
    raise ValueError(f"{place} is {value}; clean the data, or allow it by check_finite=False")


def _check_weights(weight: Array, who: str, dtype: str) -> Array:
    if weight.ndim != 1:
        raise ValueError(f"{who}: sample_weight must have shape (samples,), got {weight.shape}")
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError(f"{who}: sample_weight must be at least 0, and above 0 somewhere")
    return weight if weight.dtype.kind == "f" else weight.astype(dtype)


def check_indices(who: str, plan: Plan, data: Samples) -> None:
    """ValueError if an array that the plan uses as labels or indices has one out of range."""
    arrays = [(part, name) for part, name in zip(data.native(), _input_names(data), strict=True)]
    for number, low, high, op in plan.index_bounds:
        array, name = arrays[number]
        if isinstance(array, tuple):  # a sparse matrix's columns, which have been checked
            continue
        at = core.first_outside(array, low, high)
        if at >= 0:
            raise _out_of_range(f"{who}: {name}", array, at, f"{op} takes", low, high)


def _input_names(data: Samples) -> list[str]:
    """The name of the array behind each entry of `Samples.native`."""
    return [
        name
        for array, name in zip(data.arrays, data.names, strict=True)
        for _ in range(3 if isinstance(array, SparseMatrix) else 1)
    ]


def check_labels(who: str, data: Samples, loss: str, classes: int, ignored: int | None) -> None:
    """ValueError if an integer target is neither one of `classes` nor `ignored`.

    It is for what a plan's bounds don't say, as it replaces what is ignored.
    """
    labels = data.targets
    if labels.dtype.kind not in "iu":
        return
    at = core.first_outside(labels if ignored is None else np.where(labels == ignored, 0, labels), 0, classes)
    if at >= 0:
        takes = f"{loss} takes" if ignored is None else f"{loss} takes {ignored}, which it ignores, and"
        raise _out_of_range(f"{who}: y", labels, at, takes, 0, classes)


def _out_of_range(what: str, array: Array, at: int, takes: str, low: int, high: int) -> ValueError:
    index = ", ".join(str(i) for i in np.unravel_index(at, array.shape))
    return ValueError(f"{what}[{index}] is {array.flat[at]}, but {takes} integers from {low} to {high - 1}")


def split_at(rows: int, fraction: Any) -> int:
    """The first row of the last `fraction` of them; at least one row is left on each side."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.floating)):
        raise TypeError(f"fit: validation_split must be a number, got {fraction!r}")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fit: validation_split must lie in [0, 1), got {fraction}")
    at = rows - round(rows * fraction)
    if not 0 < at < rows:
        raise ValueError(f"fit: validation_split={fraction} of {rows} samples leaves one of the parts empty")
    return at
