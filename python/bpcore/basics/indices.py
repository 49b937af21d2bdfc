"""Labels and indices out of range: where in an array one is, and what it should have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["integers", "out_of_range"]


def integers(taker: str, low: int, high: int) -> str:
    """`taker`, as "gather takes", and which integers: from `low` on, less than `high`."""
    return f"{taker} integers from {low} to {high - 1}"


def out_of_range(name: str, array: Array, at: int, takes: str) -> ValueError:
    """About the element number `at` of an array that messages call `name`."""
    index = ", ".join(str(i) for i in np.unravel_index(at, array.shape))
    return ValueError(f"{name}[{index}] is {array.flat[at]}, but {takes}")
