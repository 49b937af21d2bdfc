"""Metrics of the order of scores, which need all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics import settings
from bpcore.metrics.base import Described, spread
from bpcore.metrics.decisions import targets_of

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["ROCAUC", "AveragePrecision"]

# Known losses that are of the softmax of the prediction, or of what is its logarithm already.
_OF_SOFTMAX = ("cross_entropy", "kl_divergence", "nll")


@dataclass(frozen=True)
class _Ranking(Described):
    """What they share: scores, targets and weights are kept row by row."""

    from_logits: bool | None = None
    name: str = ""

    greater_is_better = True
    collect = True
    of_classes = True

    def __post_init__(self) -> None:
        if self.from_logits is not None:
            self._put("from_logits", settings.flag(type(self).__name__, "from_logits", self.from_logits))
        self._put("name", self.name or self.kind)
        self._check_name()

    def statistics(self, prediction: Any, target: Any, weight: Any = None) -> Any:
        """Scores (rows, ..., columns); targets, of that shape (0 or 1) or (rows, ...) (classes); weights."""
        scores, target, classes = targets_of(self.name, prediction, target, self._loss)
        each = spread(weight, target, self.name)
        if classes == 2:  # the order is that of the difference, without rounding near 0 and 1
            scores = scores[..., 1:] - scores[..., :1]
            target, each = ops.expand_dims(target, -1), ops.expand_dims(each, -1)
        elif classes and self._logits():
            scores = ops.softmax(scores)
        elif scores.ndim == 1:
            scores, target, each = (ops.reshape(part, (-1, 1)) for part in (scores, target, each))
        return scores, ops.cast(target, "float64"), ops.identity(each)

    def _logits(self) -> bool:
        if self.from_logits is not None:
            return self.from_logits
        return self._loss.known and self._loss.name in _OF_SOFTMAX

    def result(self, *sums: Array) -> Any:
        """The mean over the classes, or labels, that have a value; NaN if none has, or a score is NaN."""
        scores, target, weight = sums
        if scores.size == 0 or np.isnan(scores).any():
            return np.nan
        columns = scores.shape[-1]
        if target.ndim < scores.ndim:
            target, weight = target[..., None] == np.arange(columns), weight[..., None]
        parts = [
            np.broadcast_to(each, scores.shape).reshape(-1, columns) for each in (scores, target, weight)
        ]
        areas = np.array([self._area(*_curve(*(part[:, i] for part in parts))) for i in range(columns)])
        kept = areas[~np.isnan(areas)]
        return kept.mean() if len(kept) else np.nan

    def _area(self, true: Array, false: Array) -> float:
        """The value, of what `_curve` gives; NaN if it has none."""
        raise NotImplementedError


def _curve(scores: Array, target: Array, weight: Array) -> tuple[Array, Array]:
    """How many of the positive, and of the others, are at or above each distinct score, from the highest."""
    order = np.argsort(-scores)
    scores, weight = scores[order], weight[order]
    positive = weight * target[order]
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    return np.cumsum(positive)[ends], np.cumsum(weight - positive)[ends]


class ROCAUC(_Ranking):
    """The chance that a sample of a class scores higher than one that isn't: scikit-learn's roc_auc_score.

    Of a single output, or of each label (n, labels); of two classes, class 1 against class 0; of more, the
    mean over each class against all others (multi_class="ovr"). A class that all samples have, or none, is
    left out of the mean; NaN if that is so of all. It is exact: the scores of an epoch are kept, with targets
    and weights.

    Args:
        from_logits: for more than two classes, whether the softmax of outputs is taken first, as samples
            compare by probabilities only. None: if the trainer's loss is of it, as "cross_entropy" is, also
            "nll" and "kl_divergence".
        name: of the value, "roc_auc" unless given.
    """

    kind = "roc_auc"

    def _area(self, true: Array, false: Array) -> float:
        """The area under the curve of true positives by false ones, by trapezoids."""
        if not (true[-1] and false[-1]):
            return np.nan
        x, y = (np.append(0, part) / part[-1] for part in (false, true))
        return float(np.diff(x) @ (y[1:] + y[:-1]) / 2)


class AveragePrecision(_Ranking):
    """The mean of the precisions at each positive, from the highest score on.

    Classes, labels and arguments are those of `ROCAUC`; what no sample has is left out. It is scikit-learn's
    average_precision_score.
    """

    kind = "average_precision"

    def _area(self, true: Array, false: Array) -> float:
        """Σ (recall - recall before) · precision over all thresholds."""
        if not true[-1]:
            return np.nan
        counted = true + false
        precision = true / np.where(counted > 0, counted, 1)
        return float(np.diff(np.append(0, true)) @ precision / true[-1])
