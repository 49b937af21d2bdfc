"""What a metric is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from bpcore import ops
from bpcore.losses import Resolved
from bpcore.symbolic.operators import operand
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Described", "Function", "Metric", "read", "spread", "statistics_of"]

Function: TypeAlias = Callable[[Any, Any], Any]


class Metric:
    """A value that is made of sums over all samples: derive from it for one of your own.

    `statistics` describes, with ops, what is summed natively over the batches of an epoch; `result` makes the
    value of the sums, once, in Python. So a mean of batches' means is nobody's mistake, and the smaller last
    batch counts for what it is::

        class Bias(metrics.Metric):
            name = "bias"

            def statistics(self, prediction, target, weight=None):
                difference = ops.cast(prediction - target, "float64")
                weights = metrics.spread(weight, difference)
                return ops.sum(difference * weights), ops.sum(weights)

            def result(self, difference, weight):
                return float(difference / weight)

        trainer = bp.Trainer(model, "mse", metrics=[Bias(), "mae"])

    A metric that is a mean over elements needs none of this: any function of (prediction, target) that
    returns a value per element is a metric under its own name.

    Attributes:
        name: the value's name, in logs, histories and `Trainer.evaluate`.
        greater_is_better: what `mode="auto"` of callbacks goes by; None where neither is better. A function
            may have this attribute, too.
        scalar: False if the value is an array; callbacks can't monitor it then.
        collect: True to keep rows instead of sums, for what no sums can give: each of `statistics` has one
            row a sample of the batch, and `result` gets the rows of all samples, in any order. They take
            memory for as long as an epoch does.

    Called on arrays, ``metric(prediction, target)`` is their value.
    """

    name: str
    greater_is_better: bool | None = None
    scalar: bool = True
    collect: bool = False

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """A tensor or a tuple of them, of any dtype, and any shape that doesn't depend on the batch's rows.

        `prediction` is what the model returns. `target` has its shape if all it lacks is a last axis of size
        1. `weight` is None, or says how much each sample counts, shape (rows,), or, of targets that are
        classes some of which the loss ignores, each of the targets, in their shape: 0 for those ignored, in
        whose place `target` has class 0.

        Sums over a batch have the precision of their dtype, as of "float64" after a cast; over batches, of
        float64.
        """
        raise NotImplementedError(f"{type(self).__name__} must define statistics")

    def result(self, *sums: Array) -> Any:
        """The value, a number or an array, of the sums of each of `statistics`, float64 arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def for_loss(self, loss: Resolved) -> Metric:  # noqa: ARG002 - for those that depend on it
        """What takes this metric's place in a trainer with `loss`: itself, unless that says something."""
        return self

    def config(self) -> dict[str, Any] | None:
        """What `metrics.from_config` makes the same metric of; None if it has to be given again."""
        return None

    def __call__(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """The value of all these samples, by arrays as `statistics` takes tensors."""
        arrays = [np.asarray(each) for each in statistics_of(self, prediction, target, weight)]
        return read(self, arrays)


class Described(Metric):
    """A metric that is a frozen dataclass: its fields, checked and converted when made, describe it."""

    kind: ClassVar[str]
    of_classes: ClassVar[bool] = False  # whether targets say which class each is of
    _loss: ClassVar[Resolved] = Resolved(None, None)

    def for_loss(self, loss: Resolved) -> Metric:
        """A copy that knows what predictions are from the loss."""
        twin = copy.copy(self)
        object.__setattr__(twin, "_loss", loss)
        return twin

    def config(self) -> dict[str, Any] | None:
        """Its kind and fields."""
        return {"metric": self.kind, **{each.name: getattr(self, each.name) for each in fields(self)}}  # type: ignore[arg-type]

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else

    def _check_name(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"{type(self).__name__}: name must be a word, got {self.name!r}")


# What metrics and those who run them share


def spread(weight: Any, like: Any, who: str = "spread") -> Any:
    """The weights of a metric in the shape of `like`, whose first axes are theirs, float64; 1 for None.

    ValueError if the first axes of `like` are others.
    """
    like = operand(like, who)
    if weight is None:
        return np.ones(like.shape)
    each = ops.cast(operand(weight, who), "float64")
    if each.shape != like.shape[: each.ndim]:
        raise ValueError(f"{who}: what has shape {like.shape} can't have weights of shape {each.shape}")
    column = ops.reshape(each, each.shape + (1,) * (like.ndim - each.ndim))
    return column if each.ndim == like.ndim else ops.broadcast_to(column, like.shape)


def statistics_of(metric: Metric, prediction: Any, target: Any, weight: Any) -> tuple[Any, ...]:
    """The statistics as a tuple; TypeError for what are no tensors, or none at all."""
    found = metric.statistics(prediction, target, weight)
    parts = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    for part in parts:
        if not isinstance(part, (Tensor, np.ndarray, np.generic)):
            raise TypeError(f"{metric.name}: statistics must return tensors, got {type(part).__name__}")
    if not parts:
        raise TypeError(f"{metric.name}: statistics must return tensors, got none")
    return parts


def read(metric: Metric, sums: list[Array]) -> Any:
    """The value of `result`, as a float or an array; TypeError for anything else."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = metric.result(*(np.asarray(each, np.float64) for each in sums))
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{metric.name}: result must return a number or an array of numbers, got {type(value).__name__}"
        )
    return float(array) if array.ndim == 0 else array
