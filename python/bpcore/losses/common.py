"""What the losses share: operands that fit, settings in range, reductions."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from bpcore import ops
from bpcore.basics import tree
from bpcore.basics.arrays import FLOATS, Array, as_array
from bpcore.symbolic.operators import WITH_ACTIVATION, operand, unify
from bpcore.symbolic.tensor import Tensor

__all__ = [
    "PARTS",
    "Reduction",
    "Weighted",
    "aligned",
    "check_not_activated",
    "constant",
    "is_float",
    "matched",
    "norm",
    "one",
    "reduced",
    "weighted_mean",
]

Reduction: TypeAlias = Literal["mean", "sum", "none"]

PARTS: Any = object()  # the reduction of a trainer: a loss per element, `Weighted` if elements have weights


class Weighted(NamedTuple):
    """Values with weights in them, and the weights: a trainer's mean is Σ values / Σ weights of all batches.

    A loss or metric of one's own may return it: w·ℓ and w, of one shape, as ``Weighted(mask * loss, mask)``.
    """

    values: Any
    weights: Any


def reduced(who: str, values: Any, reduction: Any, weights: Any = None) -> Any:
    """`values` as `reduction` wants them; `weights`, which they have in them already, are for the mean."""
    if reduction is PARTS:
        return values if weights is None else Weighted(values, weights)
    if reduction == "none":
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction != "mean":
        raise ValueError(f'{who}: reduction must be "mean", "sum" or "none", got {reduction!r}')
    return ops.mean(values) if weights is None else _ratio(values, weights)


def weighted_mean(values: Any, weights: Any) -> Any:
    """Σwℓ / Σw of values ℓ and weights w, numbers or a mask, both of one shape; 0 if Σw is 0.

    For objectives: the mean over the tokens of padded sequences is ``losses.weighted_mean(each,
    ops.sequence_mask(lengths, each.shape[1]))``. A value whose weight is 0 may be anything, infinity and NaN
    too, and gets the derivative 0. Weights are at least 0.
    """
    who = "weighted_mean"
    values, weights = operand(values, who), operand(weights, who)
    if not is_float(values):
        raise TypeError(f"{who}: values must be floats, got {values.dtype}")
    if values.shape != weights.shape:
        raise ValueError(f"{who}: values have shape {values.shape}, weights {weights.shape}")
    if isinstance(weights, np.ndarray) and (weights < 0).any():
        raise ValueError(f"{who}: weights must be at least 0, got {weights.min()}")
    shares = ops.cast(weights, str(values.dtype))
    return _ratio(ops.where(ops.not_equal(shares, 0), values, 0) * shares, shares)


def _ratio(values: Any, weights: Any) -> Any:
    """The sum of weighted values by that of the weights, 0 if nothing counts."""
    weight = ops.sum(weights)
    return ops.divide(ops.sum(values), ops.where(ops.greater(weight, 0), weight, 1))


# Operands


def is_float(item: Any) -> bool:
    """Whether a tensor or an array holds floats."""
    return str(item.dtype) in FLOATS


def one(who: str, prediction: Any) -> Any:
    """`prediction` as an operand; TypeError for several, as a model with many outputs returns them."""
    several = isinstance(prediction, (tuple, list, dict))
    if several and any(isinstance(leaf, Tensor) for leaf in tree.leaves(prediction)):
        raise TypeError(
            f"{who}: expected one prediction, got a {type(prediction).__name__} of them; give "
            "a loss for each output, or a function of one's own for several"
        )
    return operand(prediction, who)


def matched(prediction: Any, target: Any) -> Any:
    """`target`, in the prediction's shape if all it lacks is a last axis of size 1."""
    return ops.reshape(target, prediction.shape) if prediction.shape == (*target.shape, 1) else target


def aligned(who: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both in the prediction's shape and dtype; broadcasting here would be an error nobody sees."""
    one(who, prediction)
    if is_float(operand(target, who)):
        prediction, target = unify(who, prediction, target)
    prediction, target = operand(prediction, who), operand(target, who)
    if not is_float(prediction):
        raise TypeError(f"{who}: the prediction must hold floats, got {prediction.dtype}")
    target = matched(prediction, target)
    if target.shape != prediction.shape:
        raise ValueError(f"{who}: the prediction has shape {prediction.shape}, the target {target.shape}")
    return prediction, target if is_float(target) else ops.cast(target, str(prediction.dtype))


def check_not_activated(who: str, prediction: Any, activation: str, instead: str) -> None:
    """ValueError, which ends in `instead`, if `prediction` is seen to be what `activation` gives."""
    if not isinstance(prediction, Tensor):
        return
    graph, node = prediction.trace.graph, prediction.node
    while graph.op(node) in ("reshape", "slice"):  # the same numbers
        (node,) = graph.inputs(node)
    if graph.op(node) in WITH_ACTIVATION:  # the activation may be a part of it
        node = graph.decompose(node)
    if graph.op(node) == activation:
        raise ValueError(f"{who} {instead}")


# Settings


def constant(who: str, name: str, value: Any, like: Any, least: float = 0.0) -> Array:
    """Numbers `value`, one or an array, finite and at least `least`, in the dtype of `like`."""
    given = as_array(value, f"{who}: {name}")
    if given.dtype == bool:
        raise TypeError(f"{who}: {name} must hold numbers, got bool")
    wrong = ~(np.isfinite(given) & (given >= least))
    if wrong.any():
        limit = "finite" if least == -math.inf else f"finite and at least {least:g}"
        raise ValueError(f"{who}: {name} must be {limit}, got {given[wrong].flat[0]}")
    return given.astype(str(like.dtype))


# Formulas


def norm(x: Any) -> Any:
    """Euclidean norm along the last axis; its derivative at 0 is 0."""
    squares = ops.sum(x * x, axis=-1)
    zero = ops.equal(squares, 0)
    return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, squares)))
