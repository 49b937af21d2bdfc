"""Losses per element; `bpcore.losses` has them with targets of every kind and reduced."""

from __future__ import annotations

from typing import Any

from bpcore.basics.settings import integer
from bpcore.symbolic.operators import apply, binary

__all__ = ["binary_cross_entropy", "cross_entropy", "ctc", "squared_error"]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """-log_softmax(logits)[label]: `logits` (..., classes) float, `labels` (...) int64, result (...)."""
    return apply("cross_entropy", logits, labels)


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """-t·log(sigmoid(z)) - (1-t)·log(1-sigmoid(z)) of each logit z and target t, without overflow."""
    return binary("binary_cross_entropy", logits, targets)


def squared_error(prediction: Any, target: Any) -> Any:
    """(prediction - target)² of each element; both have the same shape."""
    return binary("squared_error", prediction, target)


def ctc(log_probabilities: Any, labels: Any, input_lengths: Any, label_lengths: Any, blank: int = 0) -> Any:
    """Minus the log-probability of each sequence of labels, summed over all its alignments with the frames.

    An alignment gives each frame a class so that labels come out when repeated classes are drawn together and
    blanks are left out after that. A sequence without any, because its frames are fewer than its labels and
    the blanks that have to stand between equal ones, has the loss infinity, with a derivative of 0. Sums are
    computed in float64 for both dtypes. There are no derivatives of the derivative.

    Args:
        log_probabilities: (sequences, frames, classes) float, as `log_softmax` gives them. The derivative by
            them is minus the probability, given the labels, of each class at each frame.
        labels: (sequences, most labels) int64, none of them the blank.
        input_lengths: (sequences,) int64: how many frames of each sequence count.
        label_lengths: (sequences,) int64: how many labels each sequence has; the others may be anything.
        blank: the class that means no label.

    Returns the losses, of shape (sequences,). Lengths or labels out of range are a ValueError. Source: A.
    Graves et al., Connectionist temporal classification (2006).
    """
    number = integer("ctc", "blank", blank)
    return apply("ctc", log_probabilities, labels, input_lengths, label_lengths, blank=number)
