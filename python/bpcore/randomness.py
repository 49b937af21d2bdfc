"""What random ops share: where they are random at all, and which stream of numbers each call draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import tracing
from bpcore.settings import number
from bpcore.tensor import Tensor, add, apply, operand

if TYPE_CHECKING:
    from bpcore.tracing import Trace

__all__ = ["beta", "check_rate", "draw", "dropout", "trains"]


def check_rate(who: str, rate: Any) -> float:
    """`rate` as a float in [0, 1]; TypeError for what is no number, ValueError outside."""
    return number(who, "rate", rate, least=0, most=1)


def trains(*values: Any) -> bool:
    """Whether ops on `values` are random: in a trace in training mode, outside of traces in that mode."""
    trace = _trace(*values)
    return tracing.mode() is not None if trace is None else trace.training


def dropout(x: Any, rate: float, path: str = "") -> Any:
    """`ops.dropout` for the module at `path`, with a `rate` that has been checked."""
    item = operand(x, "dropout")
    if not trains(item) or rate == 0:
        return item
    trace = _trace(item)
    if trace is not None and not isinstance(item, Tensor):  # a constant, with another mask at each run
        item = Tensor(trace, trace.graph.constant(item))
    return add("dropout", [item], {"rate": rate, "stream": _stream(trace, path)})


def draw(op: str, shape: Any, dtype: str | None, path: str = "") -> Any:
    """`ops.random_normal` or `ops.random_uniform` for the module at `path`."""
    sizes = [int(shape)] if isinstance(shape, (int, np.integer)) else [int(extent) for extent in shape]
    stream = _stream(tracing.current(), path)
    return apply(op, shape=sizes, dtype=dtype or tracing.float_dtype(), stream=stream)


def beta(alpha: float, dtype: str) -> Any:
    """A number of the distribution Beta(alpha, alpha)."""
    return apply("random_beta", alpha=alpha, dtype=dtype, stream=_stream(tracing.current(), ""))


def _trace(*values: Any) -> Trace | None:
    """The trace that an op on `values` becomes a part of."""
    return next((value.trace for value in values if isinstance(value, Tensor)), tracing.current())


def _stream(trace: Trace | None, path: str) -> int:
    """The next stream of the trace; what runs at once is its own trace, with one draw."""
    return tracing.Trace().stream(path) if trace is None else trace.stream(path)
