"""The same elements in another shape or order, and choices of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import count, integer, integers
from bpcore.ops import windows
from bpcore.symbolic import operators, tracing
from bpcore.symbolic.operators import apply

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "broadcast_to",
    "concatenate",
    "expand_dims",
    "gather",
    "one_hot",
    "pad",
    "reshape",
    "sequence_mask",
    "split",
    "squeeze",
    "stack",
    "transpose",
]


def pad(x: Any, padding: Sequence[Any], value: float = 0.0) -> Any:
    """`x` with `padding` more elements around it, all of them `value`.

    `padding` has an entry for each axis, a pair (before, after) or an integer for both, at least 0. Raises
    ValueError for another number of entries, negative ones, and a `value` that the dtype of `x` does not
    have; TypeError for entries that are no integers and a `value` that is no number.
    """
    item = operators.operand(x, "pad")
    sides = windows.check_sides("pad", "padding", list(padding), item.ndim)
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
        raise TypeError(f"pad: value must be a number, got {value!r}")
    if str(item.dtype) not in FLOATS and np.asarray(value).astype(str(item.dtype)) != value:
        raise ValueError(f"pad: {value} is no {item.dtype}")
    shape = [before + size + after for size, (before, after) in zip(item.shape, sides, strict=True)]
    start = [before for before, _ in sides]
    box = {"start": start, "size": list(item.shape), "step": [1] * item.ndim, "shape": shape}
    return operators.add("unslice", [item], {**box, "value": float(value)})


def reshape(x: Any, shape: Any) -> Any:
    """The elements of `x` in `shape`, an integer or several, one of which may be -1."""
    return operators.reshape(x, shape)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """`x` with its axes in the order `axes`, reversed if None."""
    return operators.transpose(x, axes)


def expand_dims(x: Any, axis: int) -> Any:
    """`x` with a new axis of size 1 at position `axis` of the result."""
    item, axis = operators.operand(x, "expand_dims"), integer("expand_dims", "axis", axis)
    if not -item.ndim - 1 <= axis <= item.ndim:
        raise ValueError(f"expand_dims: axis {axis} is out of range for shape {item.shape}")
    at = axis % (item.ndim + 1)
    return operators.reshape(item, (*item.shape[:at], 1, *item.shape[at:]))


def squeeze(x: Any, axis: int) -> Any:
    """`x` without its axis `axis`, whose size must be 1."""
    item, axis = operators.operand(x, "squeeze"), integer("squeeze", "axis", axis)
    if not -item.ndim <= axis < item.ndim or item.shape[axis] != 1:
        raise ValueError(f"squeeze: axis {axis} of shape {item.shape} is not an axis of size 1")
    at = axis % item.ndim
    return operators.reshape(item, item.shape[:at] + item.shape[at + 1 :])


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` repeated along axes of size 1 and new leading ones until it has `shape`."""
    return apply("broadcast_to", x, shape=integers("broadcast_to", "shape", shape))


def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
    """The `parts` one after the other along `axis`; their other axes agree."""
    who = "concatenate"
    return operators.add(who, operators.unify(who, *_some(parts, who)), {"axis": integer(who, "axis", axis)})


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """The `parts`, all of one shape, along a new axis `axis`."""
    return concatenate([expand_dims(part, axis) for part in _some(parts, "stack")], axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """`x` in pieces along `axis`, a list: into so many equal ones, or cut before each of several indices.

    As `numpy.split`, but indices are not negative, not beyond the end and in order: [2, 5] makes the pieces
    [:2], [2:5] and [5:]. Raises ValueError for other indices, and for a number that does not divide the size.
    """
    who, item = "split", operators.operand(x, "split")
    axis = integer(who, "axis", axis)
    if not -item.ndim <= axis < item.ndim:
        raise ValueError(f"{who}: axis {axis} is out of range for shape {item.shape}")
    axis %= item.ndim
    size = item.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        number = count(who, "indices_or_sections", indices_or_sections, 1)
        if size % number:
            raise ValueError(f"{who}: {number} pieces of {size} elements would not be equal")
        cuts = [size // number * i for i in range(1, number)]
    else:
        cuts = integers(who, "indices_or_sections", indices_or_sections)
        if any(low > high for low, high in itertools.pairwise([0, *cuts, size])):
            raise ValueError(f"{who}: indices must be in order and within the {size} elements, got {cuts}")
    ahead = (slice(None),) * axis
    return [operators.getitem(item, (*ahead, slice(*ends))) for ends in itertools.pairwise([0, *cuts, size])]


def _some(parts: Sequence[Any], who: str) -> Sequence[Any]:
    if len(parts) == 0:
        raise ValueError(f"{who}: expected at least one part")
    return parts


def gather(x: Any, indices: Any, axis: int = 0) -> Any:
    """The slices of `x` at `indices` (int64, any shape, from 0) along `axis`, as `numpy.take`.

    The indices' axes stand where `axis` was. An index out of range is a ValueError.
    """
    return apply("gather", x, indices, axis=integer("gather", "axis", axis))


def one_hot(indices: Any, depth: int, dtype: str | None = None) -> Any:
    """1 at each of `indices` (int64, from 0) along a new last axis of size `depth`, 0 elsewhere.

    `dtype` is the traced model's float dtype unless given, "float32" outside of models.
    """
    size = integer("one_hot", "depth", depth)
    return apply("one_hot", indices, depth=size, dtype=dtype or tracing.float_dtype())


def sequence_mask(lengths: Any, size: int) -> Any:
    """A mask (..., size) of the places before each of `lengths` (int64, shape (...), from 0 to `size`).

    It is true at the first `lengths` of `size` places: what padded sequences are made of, and padding is not.
    A length out of range is a ValueError.
    """
    who = "sequence_mask"
    places, ends = count(who, "size", size, 0), operators.operand(lengths, who)
    if str(ends.dtype) != "int64":
        raise TypeError(f"{who}: lengths must be int64, got {ends.dtype}")
    if not isinstance(ends, np.ndarray):
        ends = gather(np.arange(places + 1), ends)  # as they are: what takes indices looks at their range
    elif ((ends < 0) | (ends > places)).any():
        wrong = ends.min() if (ends < 0).any() else ends.max()
        raise ValueError(f"{who}: lengths lie in [0, {places}], got {wrong}")
    return operators.binary("less", np.arange(places), expand_dims(ends, -1))
