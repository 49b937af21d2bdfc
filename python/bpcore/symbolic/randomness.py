"""What random ops share: where they are random at all, and which stream of numbers each call draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics.settings import integers, number
from bpcore.symbolic import tracing
from bpcore.symbolic.operators import add, apply, operand
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.symbolic.tracing import Trace

__all__ = ["beta", "check_rate", "draw", "dropout", "dropout_inside", "trains"]


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


def dropout_inside(rate: float, items: Sequence[Any], path: str = "") -> tuple[list[Any], dict[str, Any]]:
    """What an op that drops some of its own values is given: its operands, and its "rate" and "stream".

    For the module at `path`, with a `rate` that has been checked; `items` as of `operand`.
    """
    if not trains(*items) or rate == 0:
        return list(items), {"rate": 0.0, "stream": 0}
    trace = _trace(*items)
    symbolic: list[Any] = list(items)
    if trace is not None:  # constants too: another mask at each run
        symbolic = [x if isinstance(x, Tensor) else Tensor(trace, trace.graph.constant(x)) for x in items]
    return symbolic, {"rate": rate, "stream": _stream(trace, path)}


def draw(op: str, shape: Any, dtype: str | None, path: str = "") -> Any:
    """`ops.random_normal` or `ops.random_uniform` for the module at `path`."""
    sizes = integers(op, "shape", shape)
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
