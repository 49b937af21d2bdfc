"""Metrics: what is measured of (prediction, target) in training and evaluation, beside the loss.

A trainer takes them by name, ``metrics=["accuracy", "f1"]``, as objects, for settings,
``metrics.F1(average="weighted")``, and as functions that return a value per element, which is then averaged:
any such function is a metric under its own name. `Metric` is for those of one's own that are no averages.

All are sums over the batches of an epoch, in float64, from which the value is made once: the same as that of
all samples at once, however they come in batches. Sample weights count, and what the loss's ignore_index
ignores does not. Values are those of scikit-learn's functions.
"""

from bpcore.metrics.accuracy import accuracy, binary_accuracy
from bpcore.metrics.base import Metric, spread
from bpcore.metrics.classes import F1, ConfusionMatrix, Precision, Recall, TopKAccuracy
from bpcore.metrics.known import from_config, greater_is_better, resolve
from bpcore.metrics.ranking import ROCAUC, AveragePrecision
from bpcore.metrics.regression import MAE, MAPE, MSE, R2, RMSE

__all__ = [
    "F1", "MAE", "MAPE", "MSE", "R2", "RMSE", "ROCAUC", "AveragePrecision", "ConfusionMatrix", "Metric",
    "Precision", "Recall", "TopKAccuracy", "accuracy", "binary_accuracy", "from_config", "greater_is_better",
    "resolve", "spread",
]  # fmt: skip
