"""Losses of distributions: a model's parameters of one against what was drawn from it, or another one."""

from __future__ import annotations

import math
from typing import Any, Literal

from bpcore import ops
from bpcore.basics.settings import number
from bpcore.losses.common import (
    Reduction,
    aligned,
    check_not_activated,
    constant,
    is_float,
    matched,
    reduced,
)
from bpcore.symbolic.operators import is_symbolic, operand

__all__ = ["gaussian_nll", "kl_divergence", "poisson_nll"]


def kl_divergence(
    log_probabilities: Any,
    target: Any,
    reduction: Reduction | Literal["batchmean"] = "mean",
    *,
    log_target: bool = False,
) -> Any:
    """t·(log t - x) of each log-probability x and probability t of the target; 0 where t is 0.

    As in PyTorch's kl_div, an element is one of the arrays, which have the same shape: the divergence of two
    distributions is the sum of its elements, and "mean" divides by the number of all elements. Two further
    ways give the mean of the divergences: the sum of "none" along the last axis, and reduction="batchmean",
    the sum divided by the size of the first axis. With `log_target`, the target holds log t.
    S. Kullback and R. A. Leibler, On information and sufficiency (1951).
    """
    who = "kl_divergence"
    scores, target = aligned(who, log_probabilities, target)
    check_not_activated(who, scores, "softmax", "takes log-probabilities; use log_softmax for softmax")
    probability = ops.exp(target) if log_target else target
    # Where t is 0, its logarithm and x may be -inf.
    void = ops.equal(probability, 0)
    logarithm = ops.where(void, 0, target) if log_target else ops.log(ops.where(void, 1, target))
    values = ops.where(void, 0, probability * (logarithm - ops.where(void, 0, scores)))
    if reduction != "batchmean":
        return reduced(who, values, reduction)
    if not values.shape:
        raise ValueError(f'{who}: reduction="batchmean" needs an axis, got a number')
    return ops.sum(values) / values.shape[0]


def poisson_nll(
    prediction: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
) -> Any:
    """-log of the probability of counts t in a Poisson distribution, without its constant log t!.

    With `log_input`, the prediction x is the logarithm of the rate: exp(x) - t·x, which is infinite where the
    rate is. Without it, x is the rate, at least 0: x - t·log(x + eps). `full` adds Stirling's approximation
    of log t! where t > 1: t·log t - t + log(2πt) / 2. Shapes as in `mse`.
    """
    who = "poisson_nll"
    small = number(who, "eps", eps, above=0)
    prediction, target = aligned(who, prediction, target)
    if log_input:
        values = ops.exp(prediction) - target * prediction
    else:
        values = prediction - target * ops.log(prediction + small)
    if full:
        many = ops.greater(target, 1)
        t = ops.where(many, target, 1)
        logarithm = ops.log(t)
        stirling = t * logarithm - t + 0.5 * (math.log(2 * math.pi) + logarithm)
        values = values + ops.where(many, stirling, 0)
    return reduced(who, values, reduction)


def gaussian_nll(
    prediction: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    var: Any = None,
    log_var: bool = False,
    full: bool = False,
    eps: float = 1e-6,
) -> Any:
    """(log v + (target - mean)² / v) / 2, of a normal distribution with a mean and a variance v.

    `prediction` is a pair (mean, v), as a model with two outputs returns it, or the mean alone with `var` as
    v. With `log_var`, its logarithm takes its place: any number, as a plain layer gives it. The
    target's shape is that of the mean, as in `mse`. The variance's is the same, with axes of size 1 where it
    does not vary; `var` may also be a number. v below `eps` counts as `eps` and keeps its derivative, so that
    it can grow again. `full` adds the constant log(2π) / 2. D. A. Nix and A. S. Weigend, Estimating the mean
    and variance of the target probability distribution (1994).

    Raises ValueError for a negative variance, where it is not symbolic.
    """
    who = "gaussian_nll"
    least = number(who, "eps", eps, above=0)
    if isinstance(prediction, (tuple, list)) and len(prediction) == 2 and var is None:
        prediction, var = prediction
    elif isinstance(prediction, tuple) or var is None:
        raise TypeError(f"{who}: expected a pair (mean, variance), or a mean and var=")
    mean, target = aligned(who, prediction, target)
    spread = _at_least(_variance(who, var, mean, log_var), math.log(least) if log_var else least)
    error = target - mean
    if log_var:
        values = 0.5 * (spread + error * error * ops.exp(-spread))
    else:
        values = 0.5 * (ops.log(spread) + error * error / spread)
    return reduced(who, values + 0.5 * math.log(2 * math.pi) if full else values, reduction)


def _variance(who: str, var: Any, mean: Any, log_var: bool) -> Any:
    if is_symbolic(var):
        spread: Any = operand(var, who)
        if not is_float(spread):
            raise TypeError(f"{who}: the variance must hold floats, got {spread.dtype}")
    else:
        spread = constant(who, "the variance", var, mean, -math.inf if log_var else 0.0)
    if spread.ndim:
        spread = matched(mean, spread)
        fits = spread.ndim == mean.ndim and all(
            extent in (1, full) for extent, full in zip(spread.shape, mean.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{who}: the mean has shape {mean.shape}, the variance {spread.shape}; give both the same "
                "shape, or the variance axes of size 1"
            )
    return spread


def _at_least(x: Any, least: float) -> Any:
    """The larger of `x` and `least`, with the derivative of `x`."""
    return ops.where(ops.less(x, least), least + (x - ops.stop_gradient(x)), x)
