"""Losses of vectors along the last axis: their directions and distances."""

from __future__ import annotations

from typing import Any

from bpcore import ops
from bpcore.basics.settings import number
from bpcore.losses.common import Reduction, aligned, norm, reduced

__all__ = ["cosine_similarity", "triplet_margin"]


def cosine_similarity(
    prediction: Any, target: Any, reduction: Reduction = "mean", *, eps: float = 1e-8
) -> Any:
    """1 minus the cosine of the angle between vectors along the last axis: 0 if they point the same way.

    x·y / (max(‖x‖, eps)·max(‖y‖, eps)) is the cosine, so it is 0 for a vector of zeros. Both have the same
    shape (..., features), the loss of an element has shape (...).
    """
    who = "cosine_similarity"
    least = number(who, "eps", eps, above=0)
    x, y = aligned(who, prediction, target)
    _check_vectors(who, x)
    product = ops.sum(x * y, axis=-1)
    return reduced(who, 1.0 - product / ops.maximum(norm(x), least) / ops.maximum(norm(y), least), reduction)


def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    reduction: Reduction = "mean",
    *,
    margin: float = 1.0,
    p: int = 2,
    eps: float = 1e-6,
    swap: bool = False,
) -> Any:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), for an objective of three embeddings.

    d(x, y) = ‖x - y + eps‖ is the norm of order `p`, 1 or 2, along the last axis; its derivative at 0 is 0.
    All three have the same shape (..., features), the loss of an element has shape (...). `margin` > 0. With
    `swap`, d(positive, negative) takes the place of the last term where it is smaller. V. Balntas et al.,
    Learning local feature descriptors with triplets and shallow convolutional neural networks (2016).
    """
    who = "triplet_margin"
    if isinstance(p, bool) or p not in (1, 2):
        raise ValueError(f"{who}: p must be 1 or 2, got {p!r}")
    gap, shift = number(who, "margin", margin, above=0), number(who, "eps", eps, least=0)
    anchor, positive = aligned(who, anchor, positive)
    anchor, negative = aligned(who, anchor, negative)
    _check_vectors(who, anchor)

    def distance(x: Any, y: Any) -> Any:
        difference = x - y + shift
        return norm(difference) if p == 2 else ops.sum(ops.abs(difference), axis=-1)

    far = distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced(who, ops.relu(gap + distance(anchor, positive) - far), reduction)


def _check_vectors(who: str, x: Any) -> None:
    if x.ndim == 0:
        raise ValueError(f"{who}: expected vectors, of shape (..., features), got numbers")
