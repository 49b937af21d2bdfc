"""Which dtype the operands of an op meet in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import FLOATS, is_weak

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["common_dtype"]

_ORDER = (*FLOATS, "int64", "bool")


def common_dtype(dtypes: Sequence[str], symbolic: Sequence[bool], values: Sequence[Any]) -> str:
    """The dtype for operands `values`, which have `dtypes` as tensors (where `symbolic`) or arrays.

    A tensor's decides, else an array's, a NumPy scalar's, a Python number's; among equals, a float's.
    """
    ranks = (
        symbolic,
        [not is_weak(value) for value in values],
        [isinstance(value, (np.generic, np.ndarray)) for value in values],
        [True for _ in values],
    )
    deciding = next(rank for rank in ranks if any(rank))
    candidates = [dtype for dtype, decides in zip(dtypes, deciding, strict=True) if decides]
    floats = [dtype for dtype in candidates if dtype in FLOATS]
    return floats[0] if floats else min(candidates, key=_ORDER.index)
