"""Labels and indices in range, as far as plans and losses tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bpcore._native import core
from bpcore.basics.indices import integers, out_of_range
from bpcore.intake.mapped import in_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore._core import Plan
    from bpcore.basics.arrays import Array
    from bpcore.intake.samples import Samples

__all__ = ["check_indices", "check_labels"]


def check_indices(who: str, plan: Plan, data: Samples, takes: Callable[[str, int, int], str]) -> None:
    """ValueError if an array that the plan uses as labels or indices has one out of range.

    `takes` says who takes which, of an op and of the least and the first too large integer for it.
    """
    arrays, names = data.native(), data.native_names()
    for number, low, high, op in plan.index_bounds:
        array = arrays[number]
        if isinstance(array, tuple):  # columns of a sparse matrix, which have been checked
            continue
        at = core.first_outside(array, low, high)
        if at >= 0:
            raise out_of_range(f"{who}: {names[number]}", array, at, takes(op, low, high))


def check_labels(what: str, labels: Array, loss: str, classes: int, ignored: int | None) -> None:
    """ValueError, which begins with `what`, if an integer is neither one of `classes` nor `ignored`.

    It is for what a plan's bounds don't say, as it replaces what is ignored.
    """
    if labels.dtype.kind not in "iu":
        return
    at = -1
    for begin, part in [(0, labels)] if ignored is None else in_memory(labels):
        at = core.first_outside(part if ignored is None else np.where(part == ignored, 0, part), 0, classes)
        if at >= 0:
            at += begin * (labels.size // len(labels))
            break
    if at >= 0:
        besides = "" if ignored is None else f" {ignored}, which it ignores, and"
        raise out_of_range(what, labels, at, integers(f"{loss} takes{besides}", 0, classes))
