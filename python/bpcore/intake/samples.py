"""Arrays with one row a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore._native import core
from bpcore.arrays import Array, as_numbers
from bpcore.intake.mapped import check_layout, is_mapped
from bpcore.intake.tables import from_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore._core import Plan

__all__ = [
    "Samples",
    "Signature",
    "check_finite",
    "check_indices",
    "check_labels",
    "inputs_of",
    "samples",
    "split_at",
]

# The graph's dtype for each kind of NumPy dtype but floats, which take the model's.
_KINDS = {"b": "bool", "i": "int64", "u": "int64"}


class Signature(NamedTuple):
    """What a plan depends on: the rows of a batch, and each array's shape of a row and dtype in the graph."""

    rows: int
    arrays: tuple[tuple[tuple[int, ...], str], ...]
    target: bool
    weighted: bool


class Samples(NamedTuple):
    """Arrays with one row a sample: a model's inputs, then the target and the weights where there are any."""

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    target: bool
    weighted: bool
    by_batch: bool = False  # whether NaN and infinity are to be looked for in each batch, before its step

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.arrays[0])

    @property
    def targets(self) -> Array:
        """The target, where there is one."""
        return self.arrays[-2 if self.weighted else -1]

    def signature(self, rows: int, dtype: str) -> Signature:
        """What a plan for batches of `rows` depends on, in a model of `dtype`."""
        kinds = tuple((array.shape[1:], _KINDS.get(array.dtype.kind, dtype)) for array in self.arrays)
        return Signature(rows, kinds, self.target, self.weighted)

    def slice(self, begin: int, end: int) -> Samples:
        """The samples from row `begin` to before row `end`, or to the last."""
        return self._replace(arrays=tuple(array[begin:end] for array in self.arrays))

    def split(self, at: int) -> tuple[Samples, Samples]:
        """The samples before row `at` and those from it on."""
        return self.slice(0, at), self.slice(at, self.rows)


def inputs_of(x: Any) -> list[Any]:
    """The arrays that `x` stands for: a tuple with arrays in it is several, everything else is one."""
    return list(x) if isinstance(x, tuple) and any(map(_is_array, x)) else [x]


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def samples(
    who: str,
    inputs: Sequence[Any],
    target: Any,
    weight: Any,
    dtype: str,
    check_finite: bool,
    *,
    at_once: bool = False,
    some_weight: bool = True,
) -> Samples:
    """The arrays of a call, all with the same number of rows.

    Memory maps are looked at for NaN and infinity batch by batch, later, unless `at_once`; without
    `some_weight`, as for one batch of many, the weights may all be zero.

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
    arrays = [
        _rows(part, f"{who}: {name}", flat=part is target or part is weight)
        for part, name in zip(parts, names, strict=True)
    ]
    by_batch = not at_once and check_finite and any(map(is_mapped, arrays))
    for array, name in zip(arrays, names, strict=True):
        if len(array) != len(arrays[0]):
            raise ValueError(f"{who}: {names[0]} has {len(arrays[0])} samples, {name} has {len(array)}")
        if array.dtype.kind == "f" and (at_once or not is_mapped(array)):
            _check_values(array, f"{who}: {name}", dtype, check_finite)
    if weight is not None:
        arrays[-1] = _check_weights(arrays[-1], who, dtype, some_weight)
    return Samples(tuple(arrays), tuple(names), target is not None, weight is not None, by_batch)


def check_finite(who: str, data: Samples, dtype: str) -> None:
    """ValueError for NaN, infinity, or what overflows `dtype`, in a batch."""
    for array, name in zip(data.arrays, data.names, strict=True):
        if array.dtype.kind == "f":
            _check_values(array, f"{who}: {name}", dtype, True)


def _rows(value: Any, who: str, *, flat: bool) -> Array:
    """`value` as an array; `flat`: a table of one column is a vector."""
    table = from_table(value, who)
    if table is not None and flat and table.shape[1:] == (1,):
        table = table[:, 0]
    if table is None:
        check_layout(value, who)
    array = as_numbers(value if table is None else table, who)
    if array.ndim == 0:
        raise ValueError(f"{who} must have one row a sample, got a single number")
    if array.size == 0:
        raise ValueError(f"{who} is empty: its shape is {array.shape}")
    return array


def _check_values(array: Array, who: str, dtype: str, check_finite: bool) -> None:
    at = core.first_not_finite(array, dtype)
    if at >= 0 and not check_finite:  # NaN and infinity are allowed, to become infinite is not
        large = np.isfinite(array) & (np.abs(array) > np.finfo(dtype).max)
        at = int(np.argmax(large)) if large.any() else -1
    if at < 0:
        return
    place = f"{who}[{', '.join(str(i) for i in np.unravel_index(at, array.shape))}]"
    value = array.flat[at]
    if np.isfinite(value):
        raise ValueError(f"{place} is {value}, which overflows {dtype}")
    raise ValueError(f"{place} is {value}; clean the data, or allow it by check_finite=False")


def _check_weights(weight: Array, who: str, dtype: str, some: bool) -> Array:
    if weight.ndim != 1:
        raise ValueError(f"{who}: sample_weight must have shape (samples,), got {weight.shape}")
    if (weight < 0).any() or (some and not (weight > 0).any()):
        raise ValueError(f"{who}: sample_weight must be at least 0, and above 0 somewhere")
    return weight if weight.dtype.kind == "f" else weight.astype(dtype)


def check_indices(who: str, plan: Plan, data: Samples) -> None:
    """ValueError if an array that the plan uses as labels or indices has one out of range."""
    for number, low, high, op in plan.index_bounds:
        array = data.arrays[number]
        at = core.first_outside(array, low, high)
        if at >= 0:
            raise _out_of_range(f"{who}: {data.names[number]}", array, at, f"{op} takes", low, high)


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
