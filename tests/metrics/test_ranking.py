"""ROC AUC and average precision, exact over all samples of an epoch, beside scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore import metrics
from bpcore.losses import resolve
from tests.metrics.models import everywhere, fixed

sklearn = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(1)
N = 45
SCORES = RNG.normal(size=(N, 4)).round(1)  # there are equal ones
CLASSES = np.where(RNG.uniform(size=N) < 0.4, SCORES.argmax(1), RNG.integers(0, 4, size=N))
LABELS = (SCORES[:, :3] + RNG.normal(size=(N, 3)) > 0.3).astype(int)
WEIGHT = RNG.uniform(size=N)
NAMES = ["roc_auc", "average_precision"]
weighted = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])


def softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def agree(trainer: Any, x: Any, y: Any, weight: Any, target: Any, scores: Any, **options: Any) -> None:
    expected = {
        "roc_auc": sklearn.roc_auc_score(target, scores, sample_weight=weight, **options),
        "average_precision": sklearn.average_precision_score(target, scores, sample_weight=weight),
    }
    for values in everywhere(trainer, x, y, weight):
        for name, value in expected.items():
            assert values[name] == pytest.approx(value, rel=1e-12), name


@weighted
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mse"])
def test_a_single_output(loss: str, dtype: str, weight: Any) -> None:
    x, y = SCORES[:, :1], LABELS[:, 0]
    if dtype == "float32" and weight is not None:
        weight = weight.astype(dtype)
    agree(fixed(loss, 1, NAMES, dtype=dtype), x, y, weight, y, x)


@weighted
def test_labels(weight: Any) -> None:
    agree(fixed("binary_cross_entropy", 3, NAMES), SCORES[:, :3], LABELS, weight, LABELS, SCORES[:, :3])


@weighted
def test_two_classes(weight: Any) -> None:
    x, y = SCORES[:, :2], LABELS[:, 0]
    agree(fixed("cross_entropy", 2, NAMES), x, y, weight, y, x[:, 1] - x[:, 0])


@weighted
@pytest.mark.parametrize("one_hot", [False, True])
def test_classes_by_the_softmax_that_the_loss_takes(one_hot: bool, weight: Any) -> None:
    y = np.eye(4)[CLASSES] if one_hot else CLASSES
    trainer = fixed("cross_entropy", 4, NAMES)
    agree(trainer, SCORES, y, weight, CLASSES, softmax(SCORES), multi_class="ovr")


def test_classes_by_outputs_as_they_are() -> None:
    chances = softmax(2 * SCORES)
    trainer = fixed("mse", 4, NAMES)  # nothing says that it has logits
    agree(trainer, chances, np.eye(4)[CLASSES], None, CLASSES, chances, multi_class="ovr")
    told = fixed("mse", 4, [metrics.ROCAUC(from_logits=True), metrics.AveragePrecision(from_logits=True)])
    agree(told, SCORES, np.eye(4)[CLASSES], None, CLASSES, softmax(SCORES), multi_class="ovr")
    assert metrics.ROCAUC(False)(SCORES, CLASSES) != metrics.ROCAUC(True)(SCORES, CLASSES)


def test_a_class_that_nobody_or_everybody_has_is_left_out() -> None:
    y = np.stack([LABELS[:, 0], np.zeros(N, int), np.ones(N, int)], axis=1)
    found = metrics.ROCAUC().for_loss(resolve("binary_cross_entropy"))(SCORES[:, :3], y)
    assert found == pytest.approx(sklearn.roc_auc_score(LABELS[:, 0], SCORES[:, 0]), rel=1e-12)
    assert np.isnan(metrics.ROCAUC()(SCORES[:, :1], np.ones(N)))
    assert metrics.AveragePrecision()(SCORES[:, :1], np.ones(N)) == 1
    assert np.isnan(metrics.AveragePrecision()(SCORES[:, :1], np.zeros(N)))


def test_scores_that_are_not_numbers_have_no_order() -> None:
    x, y = SCORES[:, 0].copy(), LABELS[:, 0]
    assert metrics.ROCAUC()(x, y) == pytest.approx(sklearn.roc_auc_score(y, x), rel=1e-12)
    x[3] = np.nan
    assert np.isnan(metrics.ROCAUC()(x, y))
