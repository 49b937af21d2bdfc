"""Which samples are kept for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.intake.classes import classes_of, listed

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array
    from bpcore.intake.samples import Samples
    from bpcore.losses import Resolved

__all__ = ["split", "split_at"]


def split(data: Samples, fraction: Any, stratify: Any, loss: Resolved) -> tuple[Samples, Samples]:
    """The samples to train on and the `fraction` of them that is kept for validation, the last ones.

    With `stratify`, True for the classes of the target or an array of labels, those are the last ones of each
    class, in the proportions of all. TypeError for a target without classes, ValueError where a class can't
    be on both sides, and where no sample of a side counts.
    """
    at = split_at(data.rows, fraction)
    if stratify is False or stratify is None:
        parts = data.split(at)
    else:
        labels = _labels(data, stratify, loss)
        held = _last_of_each(labels, data.rows - at)
        kept = np.ones(data.rows, bool)
        kept[held] = False
        parts = data._replace(selected=np.flatnonzero(kept)), data._replace(selected=held)
    for part, what in zip(parts, ("train on", "validate with"), strict=True):
        if part.weight is not None and not (part.chosen(part.weight) > 0).any():
            raise ValueError(
                f"fit: validation_split leaves no sample to {what} whose sample_weight is above 0; shuffle "
                "the samples, or leave out those that don't count"
            )
    return parts


def split_at(rows: int, fraction: Any) -> int:
    """The first row of the last `fraction` of them; at least one row is left on each side."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.floating)):
        raise TypeError(f"fit: validation_split must be a number, got {fraction!r}")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fit: validation_split must lie in [0, 1), got {fraction}")
    at = rows - round(rows * fraction)
    if not 0 < at < rows:
        raise ValueError(f"fit: validation_split={fraction} of {rows} samples leaves one of the parts empty")
    return at


def _labels(data: Samples, stratify: Any, loss: Resolved) -> Array:
    who = "fit: stratify"
    if stratify is True:
        if list(data.targets) != [None]:
            raise TypeError(f"{who}=True goes by one target; give an array of labels, one a sample, instead")
        return classes_of(f"{who}=True", data.targets[None], loss)
    labels = np.asarray(stratify)
    if labels.shape != (data.rows,):
        raise ValueError(
            f"{who} must be True, False or labels of shape ({data.rows},), got {stratify!r}"
            if labels.ndim == 0
            else f"{who}: labels must have shape ({data.rows},), one a sample, got {labels.shape}"
        )
    return labels


def _last_of_each(labels: Array, count: int) -> Array:
    """The rows of the last samples of each class, `count` in all, in order."""
    try:
        classes, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    except TypeError:  # of Python objects
        raise TypeError("fit: stratify: labels must be all numbers or all strings") from None
    if sizes.min() < 2:
        raise ValueError(
            f"fit: stratify: a class must have 2 samples at least, to train on and to validate; only 1 has "
            f"{listed(repr(each) for each in classes[sizes < 2].tolist())}"
        )
    if min(count, len(labels) - count) < len(classes):
        raise ValueError(
            f"fit: stratify: {len(classes)} classes need as many samples on each side, but validation_split "
            f"leaves {min(count, len(labels) - count)} on one"
        )
    ends = np.cumsum(sizes)
    by_class = np.argsort(codes, kind="stable")
    taken = _shares(sizes, count)
    return np.sort(
        np.concatenate([by_class[end - held : end] for end, held in zip(ends, taken, strict=True)])
    )


def _shares(sizes: Array, count: int) -> Array:
    """How many of each class make `count` in the proportions of `sizes`, by largest remainders.

    One of each is left on either side, for which the largest shares make room.
    """
    total = int(sizes.sum())
    exact = sizes.astype(np.int64) * count  # in parts of `total`
    shares = np.clip(exact // total, 1, sizes - 1)
    while shares.sum() != count:
        step = 1 if shares.sum() < count else -1
        possible = shares < sizes - 1 if step > 0 else shares > 1
        missing = step * (exact - shares * total)
        shares[np.argmax(np.where(possible, missing, -np.inf))] += step
    return shares
