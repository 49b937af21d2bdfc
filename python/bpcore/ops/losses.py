"""Losses per element; `bpcore.losses` has them with targets of every kind and reduced."""

from __future__ import annotations

from typing import Any

from bpcore.tensor import apply, binary

__all__ = ["binary_cross_entropy", "cross_entropy", "squared_error"]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """-log_softmax(logits)[label]: `logits` (..., classes) float, `labels` (...) int64, result (...)."""
    return apply("cross_entropy", logits, labels)


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """-t·log(sigmoid(z)) - (1-t)·log(1-sigmoid(z)) of each logit z and target t, without overflow."""
    return binary("binary_cross_entropy", logits, targets)


def squared_error(prediction: Any, target: Any) -> Any:
    """(prediction - target)² of each element; both have the same shape."""
    return binary("squared_error", prediction, target)
