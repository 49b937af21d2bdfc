"""What NumPy's basic indexing means, in terms of the core's slice and reshape."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["View", "as_indices", "basic"]


class View(NamedTuple):
    """A slice (one start, size and step an axis; None if the whole is meant) and the shape to give it."""

    start: list[int] | None
    size: list[int]
    step: list[int]
    shape: tuple[int, ...]


def basic(key: Any, shape: tuple[int, ...]) -> View:
    """The view that `key` (integers, slices, ... and None, as in NumPy) takes of an array of `shape`."""
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(each is not None and each is not Ellipsis for each in keys)
    if sum(each is Ellipsis for each in keys) > 1:
        raise IndexError("getitem: an index can only have a single ellipsis ('...')")
    if used > len(shape):
        raise IndexError(f"getitem: {used} indices for a tensor of shape {shape}")
    rest = [slice(None)] * (len(shape) - used)
    at = next((i for i, each in enumerate(keys) if each is Ellipsis), None)
    keys = [*keys, *rest] if at is None else [*keys[:at], *rest, *keys[at + 1 :]]

    start, size, step, result = [], [], [], []
    axis = 0
    for each in keys:
        if each is None:
            result.append(1)
            continue
        extent = shape[axis]
        if isinstance(each, slice):
            begin, stop, stride = each.indices(extent)
            count = len(range(begin, stop, stride))
            start.append(begin if count else 0)
            size.append(count)
            step.append(stride if count else 1)
            result.append(count)
        else:
            start.append(_index(each, axis, extent))
            size.append(1)
            step.append(1)
        axis += 1
    whole = size == list(shape) and all(stride == 1 for stride in step)
    return View(None if whole else start, size, step, tuple(result))


def _index(key: Any, axis: int, extent: int) -> int:
    if isinstance(key, (bool, np.bool_)) or (isinstance(key, np.ndarray) and key.dtype == bool):
        raise TypeError(
            "getitem: masks can't index a tensor, its shape would depend on values; see ops.where"
        )
    try:
        index = operator.index(key)
    except TypeError:
        raise TypeError(
            f"getitem: indices are integers, slices, ..., None, or one integer array for the first axis, got "
            f"{type(key).__name__}; to pick one element a row, sum x * ops.one_hot(indices, depth)"
        ) from None
    if not -extent <= index < extent:
        raise IndexError(f"getitem: index {index} is out of range for axis {axis} with {extent} elements")
    return index + extent if index < 0 else index


def as_indices(indices: Any, shape: tuple[int, ...]) -> Any:
    """Indices into the first axis, negative ones counted from its end where they are known already."""
    if not shape:
        raise IndexError("getitem: a tensor without axes can't be indexed")
    if isinstance(indices, np.ndarray):
        if indices.dtype != np.int64 and indices.size == 0:
            indices = indices.astype(np.int64)  # NumPy makes [] a float array
        if indices.dtype == np.int64:
            outside = (indices < -shape[0]) | (indices >= shape[0])
            if outside.any():
                raise IndexError(
                    f"getitem: index {indices[outside][0]} is out of range for the {shape[0]} rows of axis 0"
                )
            return np.where(indices < 0, indices + shape[0], indices)
    if str(indices.dtype) == "bool":
        raise TypeError(
            "getitem: masks can't index a tensor, its shape would depend on values; see ops.where"
        )
    if str(indices.dtype) != "int64":
        raise TypeError(f"getitem: indices must be integers, got {indices.dtype}")
    return indices
