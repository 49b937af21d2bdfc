"""From predictions and targets to decisions: one of several classes, or labels that are set or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore import ops
from bpcore.losses.common import is_float, matched, one
from bpcore.metrics.base import spread
from bpcore.symbolic.operators import apply, operand

if TYPE_CHECKING:
    from bpcore.losses import Resolved

__all__ = ["Decisions", "Targets", "class_counts", "decided", "histogram", "targets_of"]


class Targets(NamedTuple):
    """Predictions beside what is right.

    With `classes` of 2 or more, `target` (...) holds one of them for each of `scores` (..., classes). With 0,
    `target` holds 0 and 1 in the scores' shape, for a single output (..., 1) or (n,), or for labels
    (..., labels), each of which may be set or not.
    """

    scores: Any
    target: Any
    classes: int

    @property
    def single(self) -> bool:
        """Whether there is one output, for two classes."""
        return self.classes == 0 and (self.scores.ndim < 2 or self.scores.shape[-1] == 1)


class Decisions(NamedTuple):
    """What was decided beside what is right, int64, both of one shape: classes, or 0 and 1 of each label."""

    predicted: Any
    target: Any
    classes: int  # 0 for labels, along the last axis


def targets_of(who: str, prediction: Any, target: Any, loss: Resolved) -> Targets:
    """By shapes, as `accuracy` goes; with a `loss` of two classes, each output is one of two."""
    scores, target = one(who, prediction), operand(target, who)
    if not is_float(scores):
        raise TypeError(f"{who}: the prediction must hold floats, got {scores.dtype}")
    target = matched(scores, target)
    same = scores.shape == target.shape
    found = Targets(scores, target, 0)
    if (loss.binary or found.single) and same:
        right = target if is_float(target) else ops.cast(target, str(scores.dtype))
        return found._replace(target=ops.cast(ops.greater(right, 0.5), "int64"))
    if loss.binary or not (same or scores.shape[:-1] == target.shape):
        raise ValueError(f"{who}: the prediction has shape {scores.shape}, the target {target.shape}")
    if same:
        wide = target if is_float(target) else ops.cast(target, str(scores.dtype))
        return Targets(scores, ops.argmax(wide), scores.shape[-1])
    if str(target.dtype) != "int64":
        raise TypeError(f"{who}: targets of shape {target.shape} are classes, integers, not {target.dtype}")
    return Targets(scores, target, scores.shape[-1])


def decided(who: str, prediction: Any, target: Any, loss: Resolved) -> Decisions:
    """The largest class of each prediction, or the side of the threshold: 0 for logits, else 0.5."""
    found = targets_of(who, prediction, target, loss)
    if found.classes:
        return Decisions(ops.argmax(found.scores), found.target, found.classes)
    positive = ops.cast(ops.greater(found.scores, 0.0 if loss.binary else 0.5), "int64")
    return Decisions(positive, found.target, 2 if found.single else 0)


def class_counts(who: str, found: Decisions, weight: Any) -> tuple[Any, Any, Any]:
    """How often each class is right, was predicted, and both, float64: (classes,), or (1, labels).

    The extra axis tells two labels, which don't exclude each other, from two classes.
    """
    predicted, target = found.predicted, found.target
    if not found.classes:
        each = spread(weight, target, who)
        wanted = ops.cast(target, "float64") * each
        given = ops.cast(predicted, "float64")
        parts = (wanted, given * each, wanted * given)
        first, second, both = (
            ops.sum(ops.reshape(part, (-1, target.shape[-1])), axis=0, keepdims=True) for part in parts
        )
        return first, second, both
    each = weights_of_classes(who, found, weight)
    right = ops.where(ops.equal(predicted, target), each, 0)
    return (
        histogram(target, each, found.classes),
        histogram(predicted, each, found.classes),
        histogram(target, right, found.classes),
    )


def weights_of_classes(who: str, found: Decisions, weight: Any) -> Any:
    """How much each target counts, float64, looked up by class: so a label out of range is found at once."""
    ones = ops.gather(np.ones(found.classes), found.target)
    return ones if weight is None else ones * spread(weight, found.target, who)


def histogram(places: Any, weights: Any, size: int) -> Any:
    """The sum of the weights at each of so many places, shape (size,)."""
    flat = ops.reshape(weights, (-1,)), ops.reshape(places, (-1,))
    return apply("scatter_add", *flat, axis=0, size=size)
