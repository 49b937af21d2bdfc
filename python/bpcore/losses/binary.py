"""Losses of two classes, one output each: also for several labels that don't exclude each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.settings import number
from bpcore.losses import targets
from bpcore.losses.common import (
    Reduction,
    aligned,
    check_not_activated,
    constant,
    reduced,
)

__all__ = ["binary_cross_entropy", "focal", "hinge", "squared_hinge"]


def binary_cross_entropy(
    logits: Any, target: Any, reduction: Reduction = "mean", *, weight: Any = None, pos_weight: Any = None
) -> Any:
    """-t·log(sigmoid(z)) - (1-t)·log(1-sigmoid(z)) of logits z and targets t in [0, 1].

    `target` has the logits' shape, or lacks their last axis if that has size 1. `pos_weight` multiplies the
    first term, `weight` both: each is a number or an array that broadcasts to the logits' shape, as one of
    shape (labels,) for logits (..., labels); neither changes what the mean is divided by.
    """
    who = "binary_cross_entropy"
    logits, target = aligned(who, logits, target)
    check_not_activated(who, logits, "sigmoid", "takes logits; leave the sigmoid out")
    if pos_weight is None:
        values = ops.binary_cross_entropy(logits, target)
    else:
        factor = _factor(who, "pos_weight", pos_weight, logits)
        values = factor * target * ops.softplus(-logits) + (1.0 - target) * ops.softplus(logits)
    if weight is not None:
        values = values * _factor(who, "weight", weight, logits)
    return reduced(who, values, reduction)


def _factor(who: str, name: str, value: Any, logits: Any) -> Any:
    factor = constant(who, name, value, logits)
    try:
        fits = np.broadcast_shapes(factor.shape, logits.shape) == logits.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{who}: {name} of shape {factor.shape} does not broadcast to logits {logits.shape}")
    return factor


def focal(
    logits: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
) -> Any:
    """a·(1 - p)^gamma times the binary cross-entropy, p being the probability that the target is given.

    With s = sigmoid(logits) and targets t in [0, 1]: p = t·s + (1-t)·(1-s), a = t·alpha + (1-t)·(1-alpha), or
    1 if `alpha` is None. `alpha` lies in [0, 1], `gamma` is at least 0. Shapes as in `binary_cross_entropy`.
    T.-Y. Lin et al., Focal loss for dense object detection (2017).
    """
    who = "focal"
    share = None if alpha is None else number(who, "alpha", alpha, least=0, most=1)
    exponent = number(who, "gamma", gamma, least=0)
    logits, target = aligned(who, logits, target)
    check_not_activated(who, logits, "sigmoid", "takes logits; leave the sigmoid out")
    values = ops.binary_cross_entropy(logits, target)
    if exponent > 0.0:
        # 1 - p as a sum, which keeps its digits where it is small. Where it is 0, for sure targets only, the
        # loss and its slope are 0, too; but that of the power may be infinite there.
        miss = target * ops.sigmoid(-logits) + (1.0 - target) * ops.sigmoid(logits)
        values = values * ops.power(ops.maximum(miss, float(np.finfo(str(logits.dtype)).tiny)), exponent)
    if share is not None:
        values = values * (share * target + (1.0 - share) * (1.0 - target))
    return reduced(who, values, reduction)


def hinge(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """max(0, 1 - t·z) of predictions z and targets t, which are -1 or 1 (2·y - 1 for y of 0 and 1).

    Shapes as in `mse`. C. Cortes and V. Vapnik, Support-vector networks (1995).
    """
    return reduced("hinge", _shortfall("hinge", prediction, target), reduction)


def squared_hinge(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """max(0, 1 - t·z)²; as `hinge`, but smooth."""
    missing = _shortfall("squared_hinge", prediction, target)
    return reduced("squared_hinge", missing * missing, reduction)


def _shortfall(who: str, prediction: Any, target: Any) -> Any:
    """How far each prediction is from 1 on the target's side; 0 where it is beyond."""
    prediction, target = aligned(who, prediction, target)
    if isinstance(target, np.ndarray):  # targets of 0 and 1 would be learned wrong without a word
        targets.check_signs(who, who, target)
    return ops.relu(1.0 - target * prediction)
