"""Metrics: functions of (prediction, target) that return a value per element, which are then averaged.

Any such function serves as a metric under its own name; a trainer takes the known ones by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from bpcore import ops
from bpcore.arrays import FLOATS
from bpcore.names import lookup
from bpcore.tensor import operand

__all__ = ["Metric", "accuracy", "resolve"]

Metric: TypeAlias = Callable[[Any, Any], Any]


def accuracy(prediction: Any, target: Any) -> Any:
    """Whether each prediction is right, a mask.

    - Several classes: `prediction` (..., classes) holds logits or probabilities, the largest counts; `target`
      holds integer classes (...), or one-hot or soft floats of the prediction's shape.
    - Two classes: `prediction` holds logits (..., 1) or (...), positive for class 1; `target` holds 0 and 1
      in the same shape or in (...). One-hot floats with a last axis of 2 or more are several classes.
    """
    prediction, target = operand(prediction, "accuracy"), operand(target, "accuracy")
    if prediction.shape == (*target.shape, 1):
        target = ops.reshape(target, prediction.shape)
    if prediction.shape == target.shape:
        wide = prediction.ndim > 1 and prediction.shape[-1] > 1
        if wide and str(target.dtype) in FLOATS:
            return ops.equal(ops.argmax(prediction), ops.argmax(target))
        positive = target if str(target.dtype) == "bool" else ops.greater(target, _half(target))
        return ops.equal(ops.cast(ops.greater(prediction, 0), "int64"), ops.cast(positive, "int64"))
    if prediction.shape[:-1] != target.shape:
        raise ValueError(f"accuracy: the prediction has shape {prediction.shape}, the target {target.shape}")
    if str(target.dtype) != "int64":
        raise TypeError(
            f"accuracy: targets of shape {target.shape} are classes, integers, not {target.dtype}"
        )
    return ops.equal(ops.argmax(prediction), target)


def _half(target: Any) -> float | int:
    return 0.5 if str(target.dtype) in FLOATS else 0


_NAMED: dict[str, Metric] = {"accuracy": accuracy}


def resolve(metrics: Any) -> tuple[dict[str, Metric], bool]:
    """Name -> function of metrics given as names or functions, and whether there is one without a known name.

    Raises ValueError for unknown names and for names used twice, TypeError for what is neither.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be a list of names and functions, got {metrics!r}")
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str):
            name, function = metric, lookup("metric", metric, _NAMED)
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise TypeError(
                f"a metric is a name or a function of (prediction, target), got {type(metric).__name__}"
            )
        if name in found or name == "loss" or name.startswith("val_"):
            raise ValueError(f"the name of the metric {name!r} is taken; give its function another __name__")
        found[name] = function
    return found, any(_NAMED.get(name) is not function for name, function in found.items())
