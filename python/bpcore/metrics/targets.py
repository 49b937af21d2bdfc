"""Which values the targets of metrics of classes may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.metrics.accuracy import accuracy, binary_accuracy
from bpcore.metrics.base import Described

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bpcore.basics.arrays import Array
    from bpcore.losses import Resolved

__all__ = ["check", "has_rule"]

_BY_CLASS = {"cross_entropy", "ctc", "multi_margin", "nll"}  # losses that see to it themselves


def has_rule(loss: Resolved, metrics: Iterable[Any], target: Array) -> bool:
    """Whether `check` looks at the values of a target like this one."""
    if target.dtype.kind == "b" or loss.binary or (loss.known and loss.name in _BY_CLASS):
        return False
    return (loss.known or target.dtype.kind == "f") and any(map(_of_classes, metrics))


def check(who: str, loss: Resolved, metrics: Mapping[str, Any], target: Array) -> None:
    """ValueError, which begins with `who`, where a metric of classes would count real numbers.

    Floats, and integers that a known loss compares with the prediction element by element, are 0 and 1, -1
    and 1, or probabilities.
    """
    if not has_rule(loss, metrics.values(), target):
        return
    wrong = (target > 1) | ((target < 0) & (target != -1))
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        place = ", ".join(map(str, at))
        name = next(name for name, metric in metrics.items() if _of_classes(metric))
        raise ValueError(
            f"{who}: {name} counts classes, but y[{place}] is {target[at]}, not 0, 1, -1 or a probability; "
            'of real numbers there are "mae", "rmse" and "r2"'
        )


def _of_classes(metric: Any) -> bool:
    return metric in (accuracy, binary_accuracy) or (isinstance(metric, Described) and metric.of_classes)
