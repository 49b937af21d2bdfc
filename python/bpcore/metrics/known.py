"""The metrics that a trainer knows by name, and what it makes of others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bpcore.basics.names import lookup
from bpcore.basics.texts import kind
from bpcore.metrics.accuracy import accuracy, binary_accuracy, without
from bpcore.metrics.base import Described, Function, Metric
from bpcore.metrics.classes import F1, ConfusionMatrix, Precision, Recall, TopKAccuracy
from bpcore.metrics.ranking import ROCAUC, AveragePrecision
from bpcore.metrics.regression import MAE, MAPE, MSE, R2, RMSE
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from bpcore.losses import Resolved

__all__ = ["from_config", "greater_is_better", "resolve"]

_KINDS: dict[str, type[Described]] = {
    each.kind: each
    for each in (
        AveragePrecision, ConfusionMatrix, F1, MAE, MAPE, MSE, Precision, R2, RMSE, ROCAUC, Recall,
        TopKAccuracy,
    )
}  # fmt: skip
_NAMED: dict[str, Function | Metric] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    **{metric.name: metric for metric in (kind() for kind in _KINDS.values())},
}
_TOP_K = re.compile(r"top_([1-9][0-9]*)")


def from_config(config: Mapping[str, Any]) -> Metric:
    """The metric that `Metric.config` describes.

    ValueError for an unknown one; KeyError, TypeError or ValueError for settings that don't fit.
    """
    kind = lookup("metric", str(config["metric"]), _KINDS)
    return kind(**{key: value for key, value in config.items() if key != "metric"})


def resolve(metrics: Any, loss: Resolved) -> tuple[dict[str, Function | Metric], list[Any] | None]:
    """Name -> metric of names, functions and objects, and what a file keeps of them.

    The latter is a list of names and configs; None if one of them is a function, or an object of one's own,
    and has to be given again. By a known `loss`, "accuracy" is of classes, without one that it ignores, or of
    the logits of two. Raises ValueError for unknown names and for names used twice, TypeError for what is no
    metric.
    """
    if isinstance(metrics, (str, Metric)) or not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be a list of names, functions and objects, got {metrics!r}")
    named = dict(_NAMED)
    if loss.binary:
        named["accuracy"] = binary_accuracy
    elif loss.ignore_index is not None:
        named["accuracy"] = without(loss.ignore_index)
    found: dict[str, Function | Metric] = {}
    saved: list[Any] = []
    for given in metrics:
        name, metric, kept = _one(given, named)
        if name in found or name == "loss" or name.startswith("val_"):
            raise ValueError(f"the name of the metric {name!r} is taken; give it another {_how(metric)}")
        found[name] = metric.for_loss(loss) if isinstance(metric, Metric) else metric
        saved.append(kept)
    return found, None if None in saved else saved


def _one(given: Any, named: Mapping[str, Function | Metric]) -> tuple[str, Function | Metric, Any]:
    """The name, the metric, and what a file keeps of it, None if it can't."""
    if isinstance(given, str):
        top_k = _TOP_K.fullmatch(given)
        return given, TopKAccuracy(int(top_k[1])) if top_k else lookup("metric", given, named), given
    if isinstance(given, Metric):
        label: Any = getattr(given, "name", None)
        if not isinstance(label, str) or not label:
            raise TypeError(f"{type(given).__name__}: a metric needs a name, a word, got {label!r}")
        for method in ("statistics", "result"):
            if getattr(type(given), method) is getattr(Metric, method):
                raise TypeError(f"{type(given).__name__}: a metric must define {method}")
        return label, given, given.config()
    if isinstance(given, type) or not callable(given) or isinstance(given, Tensor):
        raise TypeError(
            "a metric is a name, a function of (prediction, target) or an object of metrics.Metric, got "
            f"{kind(given)}"
        )
    name: str = getattr(given, "__name__", type(given).__name__)
    return name, given, name if named.get(name) is given else None


def _how(metric: Function | Metric) -> str:
    return "name" if isinstance(metric, Metric) else "__name__"


def greater_is_better(name: str, metrics: Mapping[str, Any]) -> bool:
    """Whether more of the value `name`, also of validation, is better, by `metrics`, else by known names.

    Of what says nothing, as the loss and most functions, only that of an "accuracy" is.
    """
    plain = name.removeprefix("val_")
    metric = metrics.get(plain, TopKAccuracy if _TOP_K.fullmatch(plain) else _NAMED.get(plain))
    better = getattr(metric, "greater_is_better", None)
    return "accuracy" in plain if better is None else bool(better)
