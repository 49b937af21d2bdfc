"""Accuracy: functions of (prediction, target) that return a mask, which is averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.losses import Weighted, matched
from bpcore.symbolic.operators import operand

if TYPE_CHECKING:
    from bpcore.metrics.base import Function

__all__ = ["accuracy", "binary_accuracy", "without"]


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


def without(ignored: int) -> Function:
    """`accuracy` of the elements whose class is not `ignored`."""

    def kept(prediction: Any, target: Any) -> Any:
        counts = ops.not_equal(target, ignored)
        return Weighted(ops.logical_and(accuracy(prediction, target), counts), counts)

    return kept
