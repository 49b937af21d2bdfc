"""Any function over the time axis, and sequences in reverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics.settings import flag
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["reverse", "scan"]


def scan(
    function: Callable[[Any, Any], tuple[Any, Any]],
    x: Any,
    initial_state: Any = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Calls ``output, state = function(x_t, state)`` for each step of `x` (batch, steps, ...), in order.

    Returns the outputs, stacked along axis 1, and the last state. A state is a tensor, or a tuple, list or
    dict of tensors; `initial_state` None is handed on, which a cell takes for zeros. With ``reverse=True``,
    steps come from the last one to the first; an output stands where its step does.

    The steps are unrolled: each one adds the nodes of `function` to the graph. Making a plan takes time and
    memory in proportion to them, so keep to some hundred steps; `nn.RNN`, `nn.LSTM` and `nn.GRU` are single
    nodes whatever the number.

    Raises ValueError if `x` has no steps, TypeError if `function` returns no pair.
    """
    x = operators.operand(x, "scan")
    if x.ndim < 2 or x.shape[1] == 0:
        raise ValueError(f"scan: expected input of shape (batch, steps, ...), got {x.shape}")
    backward = flag("scan", "reverse", reverse)
    steps = _halved(ops.transpose(x, [1, 0, *range(2, x.ndim)]))
    outputs, state = [], initial_state
    for step in reversed(steps) if backward else steps:
        result = function(ops.squeeze(step, 0), state)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(f"scan: the function must return an output and a state, got {result!r}")
        outputs.append(result[0])
        state = result[1]
    return ops.stack(outputs[::-1] if backward else outputs, axis=1), state


def _halved(x: Any) -> list[Any]:
    """The slices of `x` along its first axis, by halves of halves.

    The gradient of a slice is as large as what it was taken from: taken one by one from the whole, they would
    make the way back quadratic in the number of steps.
    """
    if x.shape[0] == 1:
        return [x]
    middle = x.shape[0] // 2
    return [*_halved(x[:middle]), *_halved(x[middle:])]


def reverse(x: Any, lengths: Any = None) -> Any:
    """`x` (batch, steps, features) from each sequence's last step to its first; what is beyond stays."""
    if lengths is None:
        return x[:, ::-1]
    batch, steps, features = x.shape
    t = np.arange(steps)
    ends = ops.reshape(lengths, (batch, 1))
    order = ops.where(ends > t, ends - 1 - t, np.broadcast_to(t, (batch, steps)).copy())
    rows = order + np.arange(batch)[:, None] * steps
    flat = ops.gather(ops.reshape(x, (batch * steps, features)), rows)
    return ops.reshape(flat, (batch, steps, features))
