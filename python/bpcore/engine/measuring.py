"""Losses and metrics of a batch, as tensors that add up over batches."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.losses import Weighted, matched
from bpcore.metrics.base import spread, statistics_of
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bpcore.losses import Resolved
    from bpcore.metrics import Metric

__all__ = ["compared", "described", "errors_named", "statistics", "summed", "without_ignored"]

# Of any function: values per element


def compared(who: str, function: Callable[[Any, Any], Any], prediction: Any, target: Any) -> Any:
    """`function` of prediction and target, which is given the last axis of size 1 that it may lack.

    Raises ValueError where broadcasting went wrong: for values larger than prediction and target, and, if the
    target has been reshaped, for anything larger on the way.
    """
    if not (isinstance(prediction, Tensor) and isinstance(target, Tensor)):
        return function(prediction, target)
    given, target = target, matched(prediction, target)
    graph = prediction.trace.graph
    before = len(graph)
    value = function(prediction, target)
    parts = value if isinstance(value, Weighted) else (value,)
    shapes = [part.shape for part in parts if isinstance(part, Tensor)]
    if target is not given:
        shapes += [graph.shape(node) for node in range(before, len(graph))]
    large = [shape for shape in shapes if math.prod(shape) > max(prediction.size, target.size)]
    if large:
        raise ValueError(
            f"{who}: it broadcasts a prediction of shape {prediction.shape} and a target of shape "
            f"{target.shape} (given as {given.shape}) to {large[0]}; give both the same shape"
        )
    return value


def summed(who: str, value: Any, weight: Tensor | None, rows: int) -> tuple[Tensor, list[Tensor]]:
    """(mean, [sum, weight]) of a value per element, `Weighted` or not, or of a scalar.

    A scalar counts for all rows of its batch. ValueError unless others have the samples along the first axis,
    one row or several of them for each.
    """
    values, counts = value if isinstance(value, Weighted) else (value, None)
    values = _as_float(who, values)
    if counts is not None:
        counts = _as_float(who, counts)
        if counts.shape != values.shape:
            raise ValueError(f"{who}: its values have shape {values.shape}, their weights {counts.shape}")
    if values.ndim and (values.size == 0 or values.shape[0] % rows):
        raise ValueError(
            f"{who}: it gives values of shape {values.shape} for {rows} samples; return their mean, a "
            f"scalar, or values of each sample, of shape ({rows}, ...)"
        )
    if values.ndim == 0 and weight is not None:
        raise ValueError(f"{who}: it is a scalar for the whole batch, so samples can't be weighted")
    if counts is None and values.ndim == 0:
        return values, [values * rows, _constant(values, rows)]
    if counts is None and weight is None:
        total = ops.sum(values)
        return total / values.size, [total, _constant(values, values.size)]
    if weight is None:
        total, weights = ops.sum(values), ops.sum(counts)
    else:
        if values.shape[0] != rows:
            raise ValueError(
                f"{who}: its values have shape {values.shape}, so {rows} samples can't be weighted"
            )
        each = ops.reshape(weight, (rows,) + (1,) * (values.ndim - 1))
        total = ops.sum(values * each)
        weights = ops.sum(weight) * (values.size // rows) if counts is None else ops.sum(counts * each)
    return total / ops.where(weights > 0, weights, 1), [total, weights]


# Of metrics that are objects: their statistics


def without_ignored(
    loss: Resolved, prediction: Any, target: Any, weight: Tensor | None
) -> tuple[Any, Tensor | None]:
    """Target and weights for `Metric.statistics`: class 0, weighted by 0, in the place of what is ignored."""
    if not (isinstance(prediction, Tensor) and isinstance(target, Tensor)):
        return target, weight
    target = matched(prediction, target)
    ignored = loss.ignore_index
    if ignored is None or target.dtype != "int64" or target.shape != prediction.shape[:-1]:
        return target, weight
    kept = ops.not_equal(target, ignored)
    counts = ops.cast(kept, "float64")
    return ops.where(kept, target, 0), counts if weight is None else counts * spread(weight, counts)


def statistics(
    metric: Metric, prediction: Any, target: Any, weight: Tensor | None, rows: int
) -> tuple[list[Tensor], tuple[tuple[int, ...], ...]]:
    """What a metric sums or collects, and the shapes of the sums, or of the rows."""
    who = f"metric {metric.name}"
    found = statistics_of(metric, prediction, target, weight)
    trace = next((part.trace for part in found if isinstance(part, Tensor)), None)
    if trace is None:
        raise TypeError(f"{who}: its statistics do not depend on the batch")
    tensors = []
    for part in found:
        if not isinstance(part, Tensor):  # what does not depend on the batch, as the number of its samples
            tensors.append(Tensor(trace, trace.graph.constant(np.asarray(part, np.float64))))
        else:
            tensors.append(part if part.dtype in FLOATS else ops.cast(part, "float64"))
    shapes = [part.shape for part in tensors]
    if not metric.collect:
        return tensors, tuple(shapes)
    for shape in shapes:
        if shape[:1] != (rows,):
            raise ValueError(
                f"{who}: it collects rows, so each of its statistics needs one for each of {rows} samples, "
                f"got shape {shape}"
            )
    return tensors, tuple(shape[1:] for shape in shapes)


@contextmanager
def errors_named(metric: str) -> Iterator[None]:
    """Around what describes a metric: its errors begin with its name."""
    try:
        yield
    except (ValueError, TypeError) as error:
        text = str(error)
        if text.startswith((metric, f"metric {metric}")):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"metric {metric}: {text}") from error


# Both


def _as_float(who: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{who}: expected a tensor computed from the model's output, got {described(value)}")
    if value.dtype in FLOATS:
        return value
    converted: Tensor = ops.cast(value, value.trace.dtype or "float32")
    return converted


def _constant(like: Tensor, number: int) -> Tensor:
    return Tensor(like.trace, like.trace.graph.constant(np.asarray(number, like.dtype)))


def described(value: Any) -> str:
    """What a value is, for an error."""
    return f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
