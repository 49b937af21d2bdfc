"""Metrics: functions of (prediction, target) that return a value per element, which are then averaged.

Any such function serves as a metric under its own name; a trainer takes the known ones by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from bpcore import ops
from bpcore.arrays import FLOATS
from bpcore.losses import Weighted, matched
from bpcore.names import lookup
from bpcore.tensor import operand

if TYPE_CHECKING:
    from bpcore.losses import Resolved

__all__ = ["Metric", "accuracy", "binary_accuracy", "resolve"]

Metric: TypeAlias = Callable[[Any, Any], Any]


def accuracy(prediction: Any, target: Any) -> Any:
    """Whether each prediction is right, a mask; shapes decide what is compared, never the target's dtype.

    - Classes: `prediction` (..., classes), where the largest counts; `target` holds integer classes (...), or
      one-hot or soft values of the prediction's shape.
    - A single output: `prediction` (..., 1), or (n,) with a target of the same shape. What is above 0.5
      counts as 1, in both; for logits, `binary_accuracy` is the right one.

    A trainer takes `binary_accuracy` for the name "accuracy" if its loss is of logits of two classes, as
    "binary_cross_entropy" and "hinge" are, and leaves out the classes that its loss ignores.
    """
    prediction, target = operand(prediction, "accuracy"), operand(target, "accuracy")
    target = matched(prediction, target)
    same = prediction.shape == target.shape
    if same and (prediction.ndim < 2 or prediction.shape[-1] == 1):
        return binary_accuracy(prediction, target, 0.5)
    if same:
        return ops.equal(ops.argmax(prediction), ops.argmax(_floats(target, prediction)))
    if prediction.shape[:-1] != target.shape:
        raise ValueError(f"accuracy: the prediction has shape {prediction.shape}, the target {target.shape}")
    if str(target.dtype) != "int64":
        raise TypeError(
            f"accuracy: targets of shape {target.shape} are classes, integers, not {target.dtype}"
        )
    return ops.equal(ops.argmax(prediction), target)


def binary_accuracy(prediction: Any, target: Any, threshold: float = 0.0) -> Any:
    """Whether each element is on the target's side, a mask: 1 is above `threshold`, which suits logits.

    `target` holds 0 and 1, or -1 and 1, or probabilities of which those above 0.5 count as 1. Its shape is
    the prediction's, or lacks the last axis if that has size 1.
    """
    who = "binary_accuracy"
    prediction, target = operand(prediction, who), operand(target, who)
    target = matched(prediction, target)
    if prediction.shape != target.shape:
        raise ValueError(f"{who}: the prediction has shape {prediction.shape}, the target {target.shape}")
    right = ops.greater(_floats(target, prediction), 0.5)
    positive = ops.greater(prediction, threshold)
    return ops.equal(ops.cast(positive, "int64"), ops.cast(right, "int64"))


def _floats(target: Any, prediction: Any) -> Any:
    return target if str(target.dtype) in FLOATS else ops.cast(target, str(prediction.dtype))


_NAMED: dict[str, Metric] = {"accuracy": accuracy, "binary_accuracy": binary_accuracy}


def _without(ignored: int) -> Metric:
    """`accuracy` of the elements whose class is not `ignored`."""

    def kept(prediction: Any, target: Any) -> Any:
        counts = ops.not_equal(target, ignored)
        return Weighted(ops.logical_and(accuracy(prediction, target), counts), counts)

    return kept


def resolve(metrics: Any, loss: Resolved) -> tuple[dict[str, Metric], bool]:
    """Name -> function of metrics given as names or functions, and whether one has no name to be found by.

    By a known `loss`, "accuracy" is of classes, without one that it ignores, or of the logits of two.
    Raises ValueError for unknown names and for names used twice, TypeError for what is neither.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be a list of names and functions, got {metrics!r}")
    named = dict(_NAMED)
    if loss.binary:
        named["accuracy"] = binary_accuracy
    elif loss.ignore_index is not None:
        named["accuracy"] = _without(loss.ignore_index)
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str):
            name, function = metric, lookup("metric", metric, named)
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise TypeError(
                f"a metric is a name or a function of (prediction, target), got {type(metric).__name__}"
            )
        if name in found or name == "loss" or name.startswith("val_"):
            raise ValueError(f"the name of the metric {name!r} is taken; give its function another __name__")
        found[name] = function
    return found, any(named.get(name) is not function for name, function in found.items())
