"""Metrics of decisions: counted by class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bpcore import ops
from bpcore.basics import settings
from bpcore.metrics.base import Described, spread
from bpcore.metrics.decisions import class_counts, decided, histogram, targets_of, weights_of_classes

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["F1", "Average", "ConfusionMatrix", "Precision", "Recall", "TopKAccuracy"]

Average = Literal["auto", "binary", "micro", "macro", "weighted"]
_AVERAGES = ("auto", "binary", "micro", "macro", "weighted")


@dataclass(frozen=True)
class _Ratio(Described):
    """What precision, recall and F1 share: a ratio of counts for each class, and its average."""

    average: Average | None = "auto"
    zero_division: float = 0.0
    name: str = ""

    greater_is_better = True
    of_classes = True

    def __post_init__(self) -> None:
        who = type(self).__name__
        if self.average is not None:
            settings.choice(who, "average", self.average, _AVERAGES)
        zero = self.zero_division
        if not isinstance(zero, (int, float, np.number)) or not (zero in (0, 1) or math.isnan(zero)):
            raise ValueError(f"{who}: zero_division must be 0, 1 or NaN, got {zero!r}")
        self._put("zero_division", float(zero))
        self._put("name", self.name or self.kind)
        self._check_name()
        self._put("scalar", self.average is not None)

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """How often each class is right, was predicted, and both, (classes,) each; of labels, (1, labels)."""
        found = decided(self.name, prediction, target, self._loss)
        if self.average == "binary" and found.classes != 2:
            what = f"{found.classes} classes" if found.classes else f"{found.target.shape[-1]} labels"
            raise ValueError(f'{self.name}: average="binary" is for two classes, the prediction has {what}')
        return class_counts(self.name, found, weight)

    def result(self, *sums: Array) -> Any:
        """The ratio of the classes, averaged."""
        true, predicted, right = (each.reshape(-1) for each in sums)
        over, under = self._parts(true, predicted, right)
        labels = sums[0].ndim == 2
        average = self.average
        if average == "auto":
            average = "binary" if len(true) == 2 and not labels else "macro"
        if average == "micro":
            over, under = over.sum(keepdims=True), under.sum(keepdims=True)
        values = np.where(under > 0, over / np.where(under > 0, under, 1), self.zero_division)
        if average is None:
            return values
        if average in ("binary", "micro"):
            return values[-1]
        occurs = (true + predicted > 0) | labels
        weights = np.where(np.isnan(values), 0, true if average == "weighted" else occurs)
        if not weights.any():
            return self.zero_division
        return np.where(weights > 0, values, 0) @ weights / weights.sum()

    def _parts(self, true: Array, predicted: Array, right: Array) -> tuple[Array, Array]:
        """Numerators and denominators."""
        raise NotImplementedError


class Precision(_Ratio):
    """Of what was predicted to be of a class, how much is: scikit-learn's precision_score.

    Classes are the largest of (..., classes) outputs. A single output, (..., 1) or (n,), and each of those
    whose trainer has a loss of logits of two classes, as "binary_cross_entropy", is decided by itself: above
    0 for such a loss, else above 0.5. Several of them, (n, labels), are labels that don't exclude each other.

    Args:
        average: "auto", "binary" for two classes and else "macro"; "binary", of class 1 of two; "micro", of
            all decisions together; "macro", the mean of the classes that occur in predictions or targets, or
            of all labels; "weighted", their mean by how much of the targets they are; None, an array of all
            classes.
        zero_division: the value where nothing is counted: 0, 1, or NaN, which averages leave out.
        name: of the value, "precision" unless given.
    """

    kind = "precision"

    def _parts(self, true: Array, predicted: Array, right: Array) -> tuple[Array, Array]:  # noqa: ARG002
        return right, predicted


class Recall(_Ratio):
    """Of what is of a class, how much was predicted to be: scikit-learn's recall_score.

    Decisions and arguments are those of `Precision`.
    """

    kind = "recall"

    def _parts(self, true: Array, predicted: Array, right: Array) -> tuple[Array, Array]:  # noqa: ARG002
        return right, true


class F1(_Ratio):
    """The harmonic mean of precision and recall of each class: scikit-learn's f1_score.

    Decisions and arguments are those of `Precision`.
    """

    kind = "f1"

    def _parts(self, true: Array, predicted: Array, right: Array) -> tuple[Array, Array]:
        return 2 * right, true + predicted


@dataclass(frozen=True)
class ConfusionMatrix(Described):
    """How often each class, by row, was taken for each, by column: an array (classes, classes), float64.

    Classes are found as by `Precision`; labels that don't exclude each other have none. For many classes it
    is large, and each batch sums up an array of that size.

    Args:
        normalize: None for counts, or sums of weights; "true" to divide each row by its sum, "pred" each
            column, "all" everything by the sum of all. 0 where nothing was counted.
        name: of the value.

    It is scikit-learn's confusion_matrix.
    """

    normalize: Literal["true", "pred", "all"] | None = None
    name: str = "confusion_matrix"

    kind = "confusion_matrix"
    of_classes = True
    scalar = False

    def __post_init__(self) -> None:
        if self.normalize is not None:
            settings.choice("ConfusionMatrix", "normalize", self.normalize, ("true", "pred", "all"))
        self._check_name()

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """The counts of the batch, (classes, classes)."""
        found = decided(self.name, prediction, target, self._loss)
        size = found.classes
        if not size:
            raise ValueError(
                f"{self.name}: outputs of shape {found.target.shape} are labels that don't exclude each "
                "other, which have no confusion matrix"
            )
        each = weights_of_classes(self.name, found, weight)
        counts = histogram(found.target * size + found.predicted, each, size * size)
        return ops.reshape(counts, (size, size))

    def result(self, *sums: Array) -> Any:
        """The counts, normalised."""
        (counts,) = sums
        if self.normalize is None:
            return counts
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        whole = counts.sum(axis=axis, keepdims=True)
        return counts / np.where(whole > 0, whole, 1)


@dataclass(frozen=True)
class TopKAccuracy(Described):
    """How often the target's class is among the `k` with the largest outputs, of (..., classes).

    Equal outputs count in the order of their classes, as in `accuracy`, which is the same for k = 1. Its name
    is "top_5" for k = 5, which a trainer takes as a string, for any k.
    """

    k: int = 5
    name: str = ""

    kind = "top_k"
    of_classes = True
    greater_is_better = True

    def __post_init__(self) -> None:
        self._put("k", settings.count("TopKAccuracy", "k", self.k, 1))
        self._put("name", self.name or f"top_{self.k}")
        self._check_name()

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """How many are right, and how many there are."""
        scores, target, classes = targets_of(self.name, prediction, target, self._loss)
        if classes < self.k:
            raise ValueError(f"{self.name}: it needs at least {self.k} classes, got outputs {scores.shape}")
        own = ops.cast(ops.one_hot(target, classes, str(scores.dtype)), "bool")
        score = ops.sum(ops.where(own, scores, 0), axis=-1, keepdims=True)
        first = ops.less(np.arange(classes), ops.expand_dims(target, -1))
        # Written so that a score which is not a number is behind all others.
        behind = ops.where(first, ops.greater(score, scores), ops.greater_equal(score, scores))
        place = classes - ops.sum(ops.cast(behind, "int64"), axis=-1)
        right = ops.cast(ops.less(place, self.k), "float64")
        each = spread(weight, target, self.name)
        return ops.sum(right * each), ops.sum(each)

    def result(self, *sums: Array) -> Any:
        """Their ratio."""
        right, weight = sums
        return right / weight
