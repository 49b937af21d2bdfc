"""Losses of classes that exclude each other, along the last axis of the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.settings import number
from bpcore.losses.common import (
    Reduction,
    check_not_activated,
    constant,
    is_float,
    one,
    reduced,
)
from bpcore.symbolic.operators import operand, unify

__all__ = ["cross_entropy", "multi_margin", "nll"]


def cross_entropy(
    logits: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(logits), of the target class or averaged by the target's probabilities.

    `logits` has shape (..., classes). `target` holds classes, integers from 0 of shape (...), or
    probabilities (one-hot or soft), floats of the logits' shape. The loss of an element has shape (...). A
    single output is none of two or more classes; `binary_cross_entropy` is for it.

    Args:
        logits: of each class.
        target: classes or probabilities.
        reduction: "mean", "sum" or "none". With classes as targets, the mean is Σwℓ / Σw, where w is the
            weight of the target's class; with probabilities, it is over all elements.
        weight: what -log softmax of each class is multiplied by, shape (classes,), at least 0.
        ignore_index: elements with this number as class don't count: their loss and weight are 0. It need
            not be a class, as -100. None: all count. Only for targets that are classes.
        label_smoothing: in [0, 1): the share of each target that is spread evenly over all classes;
            C. Szegedy et al., Rethinking the inception architecture for computer vision (2016).
    """
    who = "cross_entropy"
    smoothing = number(who, "label_smoothing", label_smoothing, least=0, below=1)
    if is_float(operand(target, who)) and is_float(one(who, logits)):
        logits, target = unify(who, logits, target)
    logits, target = _scores(who, "logits", logits), operand(target, who)
    check_not_activated(who, logits, "softmax", "takes logits; leave the softmax out")
    table = _class_weights(who, weight, logits)
    if is_float(target):
        if target.shape != logits.shape:
            raise TypeError(
                f"{who}: float targets are probabilities of shape {logits.shape}, got {target.shape}; for "
                "classes, pass integers, as by y.astype(int)"
            )
        if ignore_index is not None:
            raise ValueError(
                f"{who}: ignore_index={ignore_index!r} needs targets that are classes, not floats"
            )
        if smoothing:
            target = target * (1.0 - smoothing) + smoothing / logits.shape[-1]
        if table is not None:
            target = target * table
        return reduced(who, -ops.sum(target * ops.log_softmax(logits), axis=-1), reduction)
    labels, kept = _labels(who, "logits", logits, target, ignore_index)
    values = ops.cross_entropy(logits, labels)
    weights = None if table is None else ops.gather(table, labels)
    if weights is not None:
        values = values * weights
    if smoothing:
        each = -ops.log_softmax(logits)
        spread = ops.mean(each if table is None else each * table, axis=-1)
        values = (1.0 - smoothing) * values + smoothing * spread
    return _reduced_kept(who, values, weights, kept, reduction)


def nll(
    log_probabilities: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    weight: Any = None,
    ignore_index: int | None = None,
) -> Any:
    """Minus the log-probability of the target class: `cross_entropy` of what is log_softmax already.

    `log_probabilities` has shape (..., classes); `target` holds classes, integers from 0 of shape (...). The
    other arguments are those of `cross_entropy`.
    """
    who = "nll"
    scores = _scores(who, "log-probabilities", log_probabilities)
    check_not_activated(who, scores, "softmax", "takes log-probabilities; use log_softmax for softmax")
    table = _class_weights(who, weight, scores)
    labels, kept = _labels(who, "log-probabilities", scores, operand(target, who), ignore_index)
    values = -ops.sum(ops.where(_is_label(labels, scores), scores, 0), axis=-1)
    weights = None if table is None else ops.gather(table, labels)
    if weights is not None:
        values = values * weights
    return _reduced_kept(who, values, weights, kept, reduction)


def multi_margin(
    prediction: Any, target: Any, reduction: Reduction = "mean", *, p: int = 1, margin: float = 1.0
) -> Any:
    """Σ max(0, margin - x[target] + x[j])^p / classes, over all classes j but the target.

    `prediction` x has shape (..., classes), `target` holds classes, integers from 0 of shape (...). `p` is 1
    or 2, `margin` a number. K. Crammer and Y. Singer, On the algorithmic implementation of multiclass
    kernel-based vector machines (2001), has the largest term in place of the sum.
    """
    who = "multi_margin"
    if isinstance(p, bool) or p not in (1, 2):
        raise ValueError(f"{who}: p must be 1 or 2, got {p!r}")
    least = number(who, "margin", margin)
    scores = _scores(who, "prediction", prediction)
    labels, _ = _labels(who, "prediction", scores, operand(target, who), None)
    right = _is_label(labels, scores)
    score = ops.sum(ops.where(right, scores, 0), axis=-1, keepdims=True)
    missing = ops.relu(ops.where(right, 0, (scores - score) + least))
    return reduced(who, ops.mean(missing if p == 1 else missing * missing, axis=-1), reduction)


def _scores(who: str, name: str, prediction: Any) -> Any:
    scores = one(who, prediction)
    if scores.ndim == 0:
        raise ValueError(f"{who}: {name} must have shape (..., classes), got a number")
    if scores.shape[-1] < 2:
        raise ValueError(
            f"{who}: there are fewer than 2 classes in {name} of shape {scores.shape}; for a single output, "
            f"use {'hinge' if who == 'multi_margin' else 'binary_cross_entropy'}"
        )
    if not is_float(scores):
        raise TypeError(f"{who}: {name} must hold floats, got {scores.dtype}")
    return scores


def _class_weights(who: str, weight: Any, scores: Any) -> Any:
    if weight is None:
        return None
    table = constant(who, "weight", weight, scores)
    if table.shape != scores.shape[-1:]:
        raise ValueError(f"{who}: weight must have shape {scores.shape[-1:]}, one a class, got {table.shape}")
    return table


def _labels(who: str, name: str, scores: Any, target: Any, ignore_index: Any) -> tuple[Any, Any]:
    """Classes of `target`, 0 for those ignored, and a mask of the others, None if all count."""
    if is_float(target) or str(target.dtype) == "bool":
        raise TypeError(
            f"{who}: targets are integer classes{' or float probabilities' * (who == 'cross_entropy')}, "
            f"got {target.dtype}"
        )
    if target.shape != scores.shape[:-1]:
        raise ValueError(
            f"{who}: classes for {name} of shape {scores.shape} must have shape {scores.shape[:-1]}, "
            f"got {target.shape}"
        )
    kept = None
    if ignore_index is not None:
        if isinstance(ignore_index, (bool, np.bool_)) or not isinstance(ignore_index, (int, np.integer)):
            raise TypeError(f"{who}: ignore_index must be an integer or None, got {ignore_index!r}")
        kept = ops.not_equal(target, int(ignore_index))
        target = ops.where(kept, target, 0)
    if isinstance(target, np.ndarray):
        wrong = (target < 0) | (target >= scores.shape[-1])
        if wrong.any():
            raise ValueError(
                f"{who}: classes are integers from 0 to {scores.shape[-1] - 1}, got {target[wrong].flat[0]}"
            )
    return target, kept


def _is_label(labels: Any, scores: Any) -> Any:
    """A mask of the scores' shape, true at each label, which must be a class."""
    return ops.cast(ops.one_hot(labels, scores.shape[-1], str(scores.dtype)), "bool")


def _reduced_kept(who: str, values: Any, weights: Any, kept: Any, reduction: Any) -> Any:
    if kept is not None:
        values = ops.where(kept, values, 0)  # not a product: what is ignored may be infinite
        weights = ops.cast(kept, str(values.dtype)) if weights is None else ops.where(kept, weights, 0)
    return reduced(who, values, reduction, weights)
