"""Losses of numbers. A target has the prediction's shape, or lacks its last axis if that has size 1."""

from __future__ import annotations

import math
from typing import Any

from bpcore import ops
from bpcore.basics.settings import number
from bpcore.losses.common import Reduction, aligned, reduced

__all__ = ["huber", "log_cosh", "mae", "mse", "quantile", "smooth_l1"]


def mse(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """(prediction - target)²; `target` has the prediction's shape, or lacks its last axis if of size 1."""
    prediction, target = aligned("mse", prediction, target)
    return reduced("mse", ops.squared_error(prediction, target), reduction)


def mae(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """|prediction - target|; the derivative is 0 where they are equal."""
    prediction, target = aligned("mae", prediction, target)
    return reduced("mae", ops.abs(prediction - target), reduction)


def huber(prediction: Any, target: Any, reduction: Reduction = "mean", *, delta: float = 1.0) -> Any:
    """d² / 2 of the difference d where |d| ≤ delta, delta·(|d| - delta/2) elsewhere; `delta` > 0.

    P. J. Huber, Robust estimation of a location parameter (1964).
    """
    width = number("huber", "delta", delta, above=0)
    prediction, target = aligned("huber", prediction, target)
    distance, near = _clipped(prediction - target, width)
    return reduced("huber", near * (distance - 0.5 * near), reduction)


def smooth_l1(prediction: Any, target: Any, reduction: Reduction = "mean", *, beta: float = 1.0) -> Any:
    """d² / (2·beta) of the difference d where |d| < beta, |d| - beta/2 elsewhere; `beta` ≥ 0, |d| if it is 0.

    This is `huber` divided by its delta. R. Girshick, Fast R-CNN (2015).
    """
    width = number("smooth_l1", "beta", beta, least=0)
    prediction, target = aligned("smooth_l1", prediction, target)
    if width == 0.0:
        return reduced("smooth_l1", ops.abs(prediction - target), reduction)
    distance, near = _clipped(prediction - target, width)
    return reduced("smooth_l1", (near / width) * (distance - 0.5 * near), reduction)


def _clipped(difference: Any, width: float) -> tuple[Any, Any]:
    """|d| and the smaller of it and `width`: what both are made of without squares that could overflow."""
    distance = ops.abs(difference)
    return distance, ops.minimum(distance, width)


def log_cosh(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """log(cosh(prediction - target)): about d² / 2 for small differences d, |d| - log 2 for large ones.

    No difference overflows, and none loses its digits.
    """
    prediction, target = aligned("log_cosh", prediction, target)
    distance = ops.abs(prediction - target)
    large = distance + ops.softplus(-2.0 * distance) - math.log(2.0)
    # With u = tanh(d/2)², cosh d is (1 + u) / (1 - u), so log cosh d is 2·artanh(u): for small d, the sum
    # above would leave nothing of it.
    half = ops.tanh(0.5 * distance)
    u = half * half
    square, series = u * u, 1 / 13
    for odd in (11, 9, 7, 5, 3, 1):
        series = series * square + 1 / odd
    return reduced("log_cosh", ops.where(distance < 0.5, 2.0 * u * series, large), reduction)


def quantile(prediction: Any, target: Any, reduction: Reduction = "mean", *, q: float = 0.5) -> Any:
    """The pinball loss: q·e where e = target - prediction ≥ 0, (q - 1)·e elsewhere; 0 < `q` < 1.

    Its minimum is the target's quantile q. R. Koenker and G. Bassett, Regression quantiles (1978).
    """
    level = number("quantile", "q", q, above=0, below=1)
    prediction, target = aligned("quantile", prediction, target)
    error = target - prediction
    return reduced("quantile", level * ops.relu(error) + (1.0 - level) * ops.relu(-error), reduction)
