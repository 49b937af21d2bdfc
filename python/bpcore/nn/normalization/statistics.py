"""Mean and variance of data that is looked at a block of rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.basics.arrays import as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array

__all__ = ["mean_and_variance"]

_BLOCK = 2**19  # elements that are in memory as float64: 4 MiB, a few times over


def mean_and_variance(rows: Array, kept: Sequence[int], who: str) -> tuple[Array, Array]:
    """Mean and biased variance of `rows` over all axes but `kept`, ascending, in float64.

    Blocks are merged by T. Chan, G. Golub and R. LeVeque, Algorithms for computing the sample variance
    (1983), of differences to the first element: so the mean is as exact as the values, however far from 0
    they are, and what is constant has a variance of exactly 0.

    Raises TypeError for what isn't numbers, ValueError for NaN and infinity, located in an error that begins
    with `who`, and for values whose variance overflows.
    """
    sizes = tuple(rows.shape[axis] for axis in kept)
    count = 0
    shift: Any = None
    mean = total = np.zeros(sizes).ravel()
    height = max(1, _BLOCK // max(1, rows.size // len(rows)))
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, len(rows), height):
            block = as_numbers(rows[begin : begin + height], who)
            if block.dtype.kind == "f":
                _check_finite(block, begin, who)
            columns = np.moveaxis(block.astype(np.float64), kept, range(-len(kept), 0))
            columns = columns.reshape(-1, mean.size)
            if shift is None:
                shift = columns[0].copy()
            columns = columns - shift
            own, number = columns.mean(axis=0), len(columns)
            columns -= own
            # The second term is the correction for a mean that is rounded.
            square = np.square(columns).sum(axis=0) - np.square(columns.sum(axis=0)) / number
            step = own - mean
            total = total + square + np.square(step) * (count * number / (count + number))
            mean = mean + step * (number / (count + number))
            count += number
    variance = np.maximum(total / count, 0)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError(f"{who} has values too large for a variance in float64; scale them down first")
    return (shift + mean).reshape(sizes), variance.reshape(sizes)


def _check_finite(block: Array, begin: int, who: str) -> None:
    at = core.first_not_finite(block, "float64")
    if at >= 0:
        row, *rest = (int(i) for i in np.unravel_index(at, block.shape))
        place = ", ".join(map(str, (begin + row, *rest)))
        raise ValueError(f"{who}[{place}] is {block.flat[at]}; clean the data first")
