"""Memory maps: arrays in files, which may be larger than memory and must never be copied as a whole."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bpcore.basics.arrays import Array

__all__ = ["check_layout", "in_memory", "is_mapped"]

_AT_ONCE = 1 << 20  # elements


def is_mapped(array: Any) -> bool:
    """Whether the elements of `array` lie in a file that is mapped into memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return True
        array = array.base
    return isinstance(array, mmap.mmap) or (
        isinstance(array, memoryview) and isinstance(array.obj, mmap.mmap)
    )


def in_memory(array: Array) -> Iterator[tuple[int, Array]]:
    """First row and rows of `array`: all of it, or parts that are small where it is a memory map.

    For what makes arrays of the same size on the way.
    """
    rows = max(1, _AT_ONCE * len(array) // array.size) if is_mapped(array) else len(array)
    for begin in range(0, len(array), rows):
        yield begin, np.asarray(array[begin : begin + rows])


def check_layout(value: Any, who: str) -> None:
    """ValueError for a memory map whose rows can't be read as they lie there."""
    if not isinstance(value, np.ndarray) or not is_mapped(value):
        return
    if not value.flags.c_contiguous:
        problem = "its rows don't lie one after the other; write the file row by row (C order)"
    elif not value.flags.aligned or not value.dtype.isnative:
        problem = f"its elements, {value.dtype.str}, are unaligned or in another byte order; write them anew"
    elif value.dtype == np.float16:
        problem = "it is float16; write float32, or give batches that are converted one by one"
    else:
        return
    raise ValueError(f"{who} is a memory map that could only be used as a copy of all of it: {problem}")
