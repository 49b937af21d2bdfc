"""Ordinary values as arrays of the four dtypes that the core knows, losing nothing on the way."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DTYPES",
    "FLOATS",
    "Array",
    "adopt",
    "as_array",
    "as_numbers",
    "check_float_dtype",
    "is_sparse",
    "is_weak",
    "kind_of",
    "to_float",
]

Array: TypeAlias = NDArray[Any]

FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int64", "bool")

_KINDS = {"float32": "floats", "float64": "floats", "int64": "integers", "bool": "bools"}
_LARGEST_INT64 = np.iinfo(np.int64).max


def check_float_dtype(dtype: Any, who: str) -> str:
    """The name of a float dtype that models compute in; ValueError for any other."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    if name not in FLOATS:
        raise ValueError(f'{who}: dtype must be "float32" or "float64", got {dtype!r}')
    return name


def as_array(value: Any, who: str) -> Array:
    """`value` as an array of float32, float64, int64 or bool, C-contiguous and in the machine's byte order.

    Integers of every width become int64, float16 becomes float32, Python floats become float64.
    Raises TypeError for objects, strings, complex numbers, dates, longer floats and arrays with masked
    elements, and ValueError for ragged nested lists and for unsigned integers past the largest int64.
    Messages begin with `who`.
    """
    array = as_numbers(value, who)
    return array.astype(np.int64, copy=False) if array.dtype.kind in "ui" else array


def as_numbers(value: Any, who: str) -> Array:
    """As `as_array`, but integers keep their width."""
    if isinstance(value, np.ndarray):
        if type(value) is not np.ndarray and np.ma.is_masked(value):
            raise TypeError(f"{who}: some of its elements are masked; fill them in, as by .filled(0)")
        array = value
    else:
        try:
            array = np.asarray(value)
        except ValueError:  # NumPy: "inhomogeneous shape"
            raise ValueError(f"{who}: the rows have different lengths") from None
    kind = array.dtype.kind
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif kind not in "buif" or array.dtype.itemsize > 8:
        raise TypeError(f"{who}: expected numbers, got {_describe(value, array)}")
    if array.dtype == np.uint64 and array.size and array.max() > _LARGEST_INT64:
        raise ValueError(f"{who}: {array.max()} does not fit in int64")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return np.require(array, requirements=("C", "A"))  # as it is, where it is contiguous and aligned already


def kind_of(dtype: Any) -> str:
    """What one of the four dtypes holds, in words: of floats, the width may not be the one that was given."""
    return _KINDS[str(dtype)]


def is_sparse(value: Any) -> bool:
    """Whether `value` is a sparse matrix or array of SciPy's, in any format."""
    return hasattr(value, "tocsr") and any(
        c.__module__.startswith("scipy.sparse") for c in type(value).__mro__
    )


def _describe(value: Any, array: Array) -> str:
    if is_sparse(value) or type(value).__name__ == "SparseTensor":
        return "a sparse matrix, which only a first nn.Dense (ops.dense, ops.matmul) can take"
    if array.dtype.kind != "O":
        return f"an array of dtype {array.dtype}"
    if isinstance(value, (np.ndarray, list, tuple)):
        return "an array of Python objects (rows of different lengths, or values that are not numbers)"
    return f"{type(value).__name__}"


def is_weak(value: Any) -> bool:
    """Whether `value` adopts the dtype of what it meets: numbers, NumPy's too, and lists of numbers."""
    return not isinstance(value, np.ndarray) or value.ndim == 0


def adopt(array: Array, dtype: str, weak: bool, who: str) -> Array:
    """`array` in `dtype`, that of the tensor it meets; TypeError or ValueError where something is lost.

    A weak value (see `is_weak`) is rounded to the tensor's float width, as Python's own floats would be.
    """
    source = array.dtype.name
    if source == dtype:
        return array
    if dtype in FLOATS and source in FLOATS:
        if not weak:
            raise TypeError(
                f"{who}: an array of {source} met a tensor of {dtype}; convert one, as by .astype(np.{dtype})"
            )
        with np.errstate(over="ignore"):
            converted = array.astype(dtype)
        if not np.array_equal(np.isinf(converted), np.isinf(array)):
            raise ValueError(f"{who}: {array} overflows {dtype}")
        return converted
    if dtype in FLOATS and source == "int64":
        converted = array.astype(dtype)
        if not weak and not _same_integers(converted, array):
            raise ValueError(f"{who}: an integer of the array is too large to be exact in {dtype}")
        return converted
    if source == "bool" and weak and dtype != "bool":
        return array.astype(dtype)
    hint = f'ops.cast(tensor, "{source}")' if source in FLOATS else f'ops.cast(array, "{dtype}")'
    raise TypeError(f"{who}: a value of {source} met a tensor of {dtype}; convert one of them, as by {hint}")


def _same_integers(floats: Array, integers: Array) -> bool:
    """Whether all of these are the same; 2⁶³, which only a float can be, is none of the integers."""
    return not (floats >= 2.0**63).any() and np.array_equal(floats.astype(np.int64), integers)


def to_float(array: Array, dtype: str, who: str) -> Array:
    """A float `array` in a model's `dtype`, others as they are; ValueError for a value that overflows."""
    if array.dtype.kind != "f" or array.dtype.name == dtype:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    infinite = np.isinf(converted)
    if infinite.any() and not np.array_equal(infinite, np.isinf(array)):
        raise ValueError(f"{who}: a value of the input overflows {dtype}")
    return converted
