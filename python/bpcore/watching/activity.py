"""What a health monitor asks of activations: shares of dead ReLU units, of saturated sigmoids and tanhs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bpcore import ops
from bpcore.symbolic.operators import WITH_ACTIVATION
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from bpcore.symbolic.tracing import Trace

__all__ = ["Activity", "activities"]

# The slope of sigmoid is below 4 % of its largest beyond these values, that of tanh below 2 %.
_LIMITS = {"sigmoid": (0.01, 0.99), "tanh": (-0.99, 0.99)}


class Activity(NamedTuple):
    """The share of a layer's activations that pass no gradient on."""

    path: str  # of the module
    kind: str  # "dead" or "saturated"
    share: Tensor  # a scalar in [0, 1]


def activities(trace: Trace) -> list[Activity]:
    """Those of everything that `trace` holds so far.

    A unit of ReLU, an element of the last axis, is dead if it is 0 for all of the batch. Sigmoid and tanh
    count where they are what a module, or a dense layer, ends with, and not as gates in larger formulas.
    """
    graph, found = trace.graph, []
    for node in range(len(graph)):
        layer = graph.op(node) in WITH_ACTIVATION
        function = graph.op(graph.decompose(node)) if layer else graph.op(node)
        if function != "relu" and function not in _LIMITS:
            continue
        path, end = trace.module_of(node)
        value = Tensor(trace, node)
        if function == "relu" and value.ndim >= 2:
            peaks = ops.max(value, axis=tuple(range(value.ndim - 1)))
            found.append(Activity(path, "dead", _share(ops.equal(peaks, 0), value)))
        elif function in _LIMITS and (layer or node == end - 1):
            low, high = _LIMITS[function]
            outside = ops.logical_or(ops.less(value, low), ops.greater(value, high))
            found.append(Activity(path, "saturated", _share(outside, value)))
    return found


def _share(mask: Tensor, like: Tensor) -> Tensor:
    share: Tensor = ops.mean(ops.cast(mask, str(like.dtype)))
    return share
