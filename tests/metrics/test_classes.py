"""Metrics of decisions, in batches, beside scikit-learn's functions of all samples at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bpcore import losses, metrics
from tests.metrics.models import everywhere, fixed

sklearn = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(0)
N = 45  # the last batch of 7 has 3
SCORES = RNG.normal(size=(N, 5))
CLASSES = RNG.choice([0, 1, 3, 4], size=N, p=[0.4, 0.3, 0.2, 0.1])  # 2 is predicted, but never right
SCORES[np.arange(N), CLASSES] += 0.7
WEIGHT = RNG.uniform(size=N)
LABELS = (RNG.normal(size=(N, 3)) + 1.5 * SCORES[:, :3] > 0.5).astype(int)
RATIOS = {
    metrics.Precision: sklearn.precision_score,
    metrics.Recall: sklearn.recall_score,
    metrics.F1: sklearn.f1_score,
}
weighted = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])


def agree(trainer: Any, x: Any, y: Any, weight: Any, expected: dict[str, Any], **options: Any) -> None:
    for values in everywhere(trainer, x, y, weight, **options):
        for name, value in expected.items():
            np.testing.assert_allclose(values[name], value, rtol=1e-12, err_msg=name)


@weighted
@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
def test_ratios_of_classes(average: Any, zero_division: float, weight: Any) -> None:
    given = [kind(average, zero_division) for kind in RATIOS]
    expected = {
        kind.kind: function(
            CLASSES, SCORES.argmax(1), average=average, zero_division=zero_division, sample_weight=weight
        )
        for kind, function in RATIOS.items()
    }
    if average is None:
        assert all(value.shape == (5,) for value in expected.values())
    agree(fixed("cross_entropy", 5, given), SCORES, CLASSES, weight, expected)


def test_a_class_that_occurs_nowhere_is_out_of_the_mean_of_classes() -> None:
    scores, y = np.eye(6)[[0, 1, 1, 3]], np.array([0, 1, 0, 3])
    expected = {"f1": sklearn.f1_score(y, scores.argmax(1), average="macro")}
    assert expected["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    agree(fixed("cross_entropy", 6, ["f1"]), scores, y, None, expected, batch_size=3)
    each = metrics.F1(None)(scores, y)
    np.testing.assert_allclose(each, [2 / 3, 2 / 3, 0, 1, 0, 0])


@weighted
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "hinge", "mse"])
def test_names_of_two_classes_mean_class_1(loss: str, weight: Any) -> None:
    """By the larger of two outputs, by the sign of a logit, or by the nearest of 0 and 1."""
    y = CLASSES % 2
    x = {"cross_entropy": SCORES[:, :2], "mse": SCORES[:, :1] + 0.5}.get(loss, SCORES[:, :1])
    predicted = (
        x.argmax(1) if loss == "cross_entropy" else (x[:, 0] > (0.5 if loss == "mse" else 0)).astype(int)
    )
    expected = {kind.kind: f(y, predicted, sample_weight=weight) for kind, f in RATIOS.items()}
    expected["confusion_matrix"] = sklearn.confusion_matrix(y, predicted, sample_weight=weight)
    expected["accuracy"] = sklearn.accuracy_score(y, predicted, sample_weight=weight)
    target = 2 * y - 1 if loss == "hinge" else y
    agree(fixed(loss, x.shape[1], list(expected)), x, target, weight, expected)


@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted", None])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_averages_of_two_classes(loss: str, average: Any) -> None:
    y, x = CLASSES % 2, SCORES[:, :2] if loss == "cross_entropy" else SCORES[:, :1]
    predicted = x.argmax(1) if loss == "cross_entropy" else (x[:, 0] > 0).astype(int)
    expected = {kind.kind: f(y, predicted, average=average) for kind, f in RATIOS.items()}
    agree(fixed(loss, x.shape[1], [kind(average) for kind in RATIOS]), x, y, None, expected)


@weighted
@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
def test_labels_do_not_exclude_each_other(average: Any, columns: int, weight: Any) -> None:
    x, y = SCORES[:, :columns], LABELS[:, :columns]
    expected = {
        kind.kind: function(y, x > 0, average=average, sample_weight=weight)
        for kind, function in RATIOS.items()
    }
    agree(fixed("binary_cross_entropy", columns, [kind(average) for kind in RATIOS]), x, y, weight, expected)
    if average == "macro":
        agree(fixed("binary_cross_entropy", columns, list(expected)), x, y, weight, expected)


@weighted
@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix(normalize: Any, weight: Any) -> None:
    expected = sklearn.confusion_matrix(
        CLASSES, SCORES.argmax(1), normalize=normalize, sample_weight=weight, labels=range(5)
    )
    trainer = fixed("cross_entropy", 5, [metrics.ConfusionMatrix(normalize)])
    agree(trainer, SCORES, CLASSES, weight, {"confusion_matrix": expected})


@pytest.mark.parametrize("function", [np.eye(5)[CLASSES], 0.9 * np.eye(5)[CLASSES] + 0.02])
def test_one_hot_and_soft_targets_are_their_largest(function: Any) -> None:
    expected = {"confusion_matrix": sklearn.confusion_matrix(CLASSES, SCORES.argmax(1))}
    expected["top_2"] = sklearn.top_k_accuracy_score(CLASSES, SCORES, k=2, labels=range(5))
    agree(fixed("cross_entropy", 5, list(expected)), SCORES, function, None, expected)


@weighted
def test_top_k(weight: Any) -> None:
    expected = {
        f"top_{k}": sklearn.top_k_accuracy_score(CLASSES, SCORES, k=k, sample_weight=weight, labels=range(5))
        for k in (1, 2, 4)
    }
    trainer = fixed("cross_entropy", 5, ["accuracy", metrics.TopKAccuracy(k=4), "top_2", "top_1", "top_5"])
    agree(trainer, SCORES, CLASSES, weight, {**expected, "top_5": 1.0, "accuracy": expected["top_1"]})


def test_equal_scores_count_in_the_order_of_classes_and_nan_is_last() -> None:
    y = np.arange(3)
    equal = np.zeros((3, 3))
    assert [metrics.TopKAccuracy(k)(equal, y) for k in (1, 2)] == pytest.approx([1 / 3, 2 / 3])
    assert metrics.TopKAccuracy(2)(np.full((3, 3), np.nan), y) == 0
    one = np.array([[np.nan, 1.0, 0.0]])
    assert [metrics.TopKAccuracy(2)(one, np.array([i])) for i in range(3)] == [0, 1, 0]


@weighted
@pytest.mark.parametrize("loss", ["cross_entropy", "nll"])
def test_what_the_loss_ignores_does_not_count(loss: str, weight: Any) -> None:
    """Also of tokens: (batch, time) classes, weighted by sample."""
    x = RNG.normal(size=(N, 4, 5))
    y = RNG.integers(-1, 5, size=(N, 4))
    loss_ = partial(getattr(losses, loss), ignore_index=-1)
    kept, predicted = y >= 0, x.argmax(-1)
    each = None if weight is None else np.repeat(weight[:, None], 4, 1)[kept]
    options = {"sample_weight": each}
    expected = {
        "accuracy": sklearn.accuracy_score(y[kept], predicted[kept], **options),
        "f1": sklearn.f1_score(y[kept], predicted[kept], average="macro", **options),
        "confusion_matrix": sklearn.confusion_matrix(y[kept], predicted[kept], **options),
        "top_3": sklearn.top_k_accuracy_score(y[kept], x[kept], k=3, **options),
        "roc_auc": sklearn.roc_auc_score(y[kept], softmax(x[kept]), multi_class="ovr", **options),
    }
    agree(fixed(loss_, 5, list(expected)), x, y, weight, expected)


def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_counts_of_float32_are_exact() -> None:
    trainer = fixed("cross_entropy", 5, ["confusion_matrix"], dtype="float32")
    found = trainer.evaluate(SCORES, CLASSES, batch_size=7)["confusion_matrix"]
    np.testing.assert_array_equal(found, sklearn.confusion_matrix(CLASSES, SCORES.argmax(1), labels=range(5)))
    assert found.dtype == np.float64


# Errors


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: metrics.Precision("mean"), ValueError, "Precision: average must be"),  # type: ignore[arg-type]
    (lambda: metrics.F1(zero_division=2), ValueError, "F1: zero_division must be 0, 1 or NaN, got 2"),
    (lambda: metrics.F1(name=3), TypeError, "F1: name must be a word, got 3"),  # type: ignore[arg-type]
    (lambda: metrics.TopKAccuracy(0), ValueError, "TopKAccuracy: k must be at least 1"),
    (lambda: metrics.ConfusionMatrix("rows"), ValueError, "ConfusionMatrix: normalize must be"),  # type: ignore[arg-type]
    (lambda: metrics.ROCAUC("yes"), TypeError, "ROCAUC: from_logits must be True or False"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "error", "message"), CASES)
def test_settings_are_checked_when_made(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "loss", "x", "y", "message"),
    [
        (metrics.Precision("binary"), "cross_entropy", SCORES, CLASSES, 'precision: average="binary" is'),
        ("confusion_matrix", "binary_cross_entropy", SCORES[:, :3], LABELS, "confusion_matrix: outputs of"),
        ("top_6", "cross_entropy", SCORES, CLASSES, "top_6: it needs at least 6 classes"),
        ("f1", lambda p, t: (p[:, :1] - t) ** 2, SCORES, 0 * SCORES[:, :1], "f1: the prediction has shape"),
        ("f1", lambda p, _: p[:, 0], SCORES, np.ones(len(SCORES)), "f1: targets of shape .* are classes"),
        ("f1", lambda p, _: p[:, 0], SCORES, CLASSES + 1, "y.* is 5, but gather takes integers from 0 to 4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_before_anything_changes(
    metric: Any, loss: Any, x: Any, y: Any, message: str
) -> None:
    trainer = fixed(loss, x.shape[1], [metric])
    with pytest.raises((ValueError, TypeError), match=message):
        trainer.fit(x, y, epochs=1, progress=False)
    assert trainer.steps == 0
