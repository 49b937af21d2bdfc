"""The states that cells and recurrent layers are called with."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore.symbolic import operators

__all__ = ["checked_states", "zeros"]


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Zeros of a shape, in the dtype of a tensor."""
    return np.zeros(shape, str(like.dtype))


def checked_states(who: str, state: Any, number: int, shape: tuple[int, ...], x: Any) -> list[Any]:
    """`state` as a list of `number` tensors of `shape`; zeros of x's dtype if it is None."""
    if state is None:
        return [zeros(shape, x)] * number
    if number == 1:
        found = [state]
    else:
        # A tuple of arrays may have become one tensor on its way.
        several = isinstance(state, (tuple, list)) or len(getattr(state, "shape", ())) == len(shape) + 1
        found = list(state) if several else [state]
        if len(found) != number:
            raise ValueError(f"{who}: expected a state of {number} tensors of shape {shape}, a tuple (h, c)")
    values = [operators.operand(value, who) for value in found]
    for value in values:
        if value.shape != shape:
            raise ValueError(f"{who}: expected a state of shape {shape}, got {value.shape}")
    return values
