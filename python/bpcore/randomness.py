"""What random ops share: where they are random at all, and which stream of numbers each call draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import tracing
from bpcore.tensor import Tensor, add, apply, operand

if TYPE_CHECKING:
    from bpcore.tracing import Trace

__all__ = ["beta", "check_number", "check_rate", "draw", "dropout", "trains"]


def check_number(who: str, name: str, value: Any) -> float:
    """`value` as a float that is at least 0 and finite; TypeError for what is no number, else ValueError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    number = float(value)
    if not 0.0 <= number < float("inf"):  # also false for NaN
        raise ValueError(f"{who}: {name} must be finite and at least 0, got {value}")
    return number


def check_rate(who: str, rate: Any) -> float:
    """`rate` as a float in [0, 1]; TypeError for what is no number, ValueError outside."""
    number = check_number(who, "rate", rate)
    if number > 1:
        raise ValueError(f"{who}: rate must lie in [0, 1], got {rate}")
    return number


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
