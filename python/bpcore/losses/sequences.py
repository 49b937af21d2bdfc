"""Losses of sequences whose length is not that of their targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.settings import flag, integer
from bpcore.losses.common import Reduction, check_not_activated, is_float, one, reduced
from bpcore.losses.targets import PADDING, check_label_sequences
from bpcore.symbolic.operators import operand

__all__ = ["ctc"]


def ctc(
    prediction: Any,
    target: Any,
    reduction: Reduction = "mean",
    *,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Any:
    """-log p(labels) of label sequences, over all their alignments with the frames of a longer sequence.

    Labels come out of an alignment, one class a frame, when repeated classes are drawn together and blanks
    are left out after that; p sums over all alignments that give the target. The loss of a sequence has shape
    (n,). The mean is that of the losses divided by the numbers of labels (by 1 where there are none), as
    PyTorch has it, in a trainer, too; "sum" and "none" divide nothing.

    Lengths come with the data, so that `Trainer.fit` needs nothing else::

        # sounds of at most 200 frames of 40 features; texts as labels from 1, 0 is the blank
        x, frames = bp.data.pad_sequences(sounds)                # (n, 200, 40), (n,)
        y, _ = bp.data.pad_sequences(labels, value=-1)           # (n, most labels)

        class Listener(nn.Module):
            def __init__(self):
                self.layers = nn.Sequential(nn.Dense(128, "relu"), nn.Dense(29))
            def __call__(self, x, frames):
                return self.layers(x), frames

        trainer = bp.Trainer(Listener(), "ctc")
        trainer.fit((x, frames), y, epochs=10)

    Args:
        prediction: logits (n, frames, classes), or log-probabilities, which are their own log_softmax; or a
            pair of them and the number of frames of each sequence that count, integers (n,). All count
            without.
        target: labels, integers (n, most labels), with -1 behind the last one of each sequence.
        reduction: "mean", "sum" or "none".
        blank: the class that means no label, and is none.
        zero_infinity: a sequence of too few frames for its labels (and the blanks that have to stand between
            equal ones) has no alignment; its loss is infinity, which stops a trainer, or 0 with this. Its
            derivative is 0 in any case.

    A. Graves et al., Connectionist temporal classification (2006). There are no derivatives of derivatives.
    """
    who = "ctc"
    ignoring, empty = flag(who, "zero_infinity", zero_infinity), integer(who, "blank", blank)
    lengths = None
    if isinstance(prediction, (tuple, list)) and len(prediction) == 2:
        prediction, lengths = prediction
    scores, labels = one(who, prediction), operand(target, who)
    if not is_float(scores):
        raise TypeError(f"{who}: logits must hold floats, got {scores.dtype}")
    if scores.ndim != 3 or scores.shape[-1] < 2:
        raise ValueError(
            f"{who}: logits must have shape (n, frames, classes) with two classes or more, got {scores.shape}"
        )
    if not 0 <= empty < scores.shape[-1]:
        raise ValueError(f"{who}: blank must be one of the {scores.shape[-1]} classes, got {blank}")
    check_not_activated(who, scores, "softmax", "takes logits; leave the softmax out")
    if str(labels.dtype) != "int64":
        raise TypeError(f"{who}: targets are integer labels, got {labels.dtype}")
    if labels.ndim != 2 or labels.shape[0] != scores.shape[0]:
        raise ValueError(
            f"{who}: labels for logits of shape {scores.shape} must have shape ({scores.shape[0]}, most "
            f"labels), got {labels.shape}"
        )
    if isinstance(labels, np.ndarray):
        check_label_sequences(who, who, labels, empty)
    if lengths is None:
        lengths = np.full(scores.shape[0], scores.shape[1])
    given = ops.not_equal(labels, PADDING)
    counts = ops.sum(ops.cast(given, "int64"), axis=-1)
    values = ops.ctc(ops.log_softmax(scores), ops.where(given, labels, 0), lengths, counts, empty)
    if ignoring:
        values = ops.where(ops.equal(values, np.inf), 0, values)
    if reduction not in ("sum", "none"):
        values = values / ops.cast(ops.maximum(counts, 1), str(scores.dtype))
    return reduced(who, values, reduction)
