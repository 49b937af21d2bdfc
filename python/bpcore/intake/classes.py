"""Classes of samples: one a sample, as a target tells them, and what samples weigh by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import Array, as_numbers
from bpcore.basics.settings import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bpcore.intake.samples import Samples
    from bpcore.losses import Resolved

__all__ = ["class_weight_text", "class_weighted", "classes_of", "listed"]

# Losses of integers that are classes, so that several in a row are those of tokens, never one-hot.
_OF_TOKENS = {"cross_entropy", "ctc", "multi_margin", "nll"}


def classes_of(who: str, target: Array, loss: Resolved) -> Array:
    """The class of each sample, shape (samples,), int64.

    `target` holds integers or bools, or floats of which all are 0, 1 or -1, of shape (samples,) or
    (samples, 1); or one-hot rows, shape (samples, classes). TypeError, which begins with `who`, for others.
    """
    kind = target.dtype.kind
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim == 1:
        if kind == "f" and not np.isin(target, (-1, 0, 1)).all():
            raise TypeError(f"{who} needs targets that are classes, but those here are floats")
        return np.asarray(target, np.int64)
    tokens = kind in "iu" and loss.known and loss.name in _OF_TOKENS
    if target.ndim == 2 and not tokens and _is_one_hot(target):
        return np.asarray(target.argmax(axis=1), np.int64)
    raise TypeError(
        f"{who} needs one class a sample, but targets of shape {target.shape} are neither classes of shape "
        "(samples,) nor one-hot rows"
    )


def _is_one_hot(target: Array) -> bool:
    ones = target == 1
    return bool((ones | (target == 0)).all() and (ones.sum(axis=1) == 1).all())


def listed(values: Iterable[Any], most: int = 8) -> str:
    """The first of `values`, for a message."""
    found = [str(each) for each in values]
    return ", ".join(found[:most]) + (", ..." if len(found) > most else "")


def class_weighted(data: Samples, given: Any, loss: Resolved, dtype: str) -> Samples:
    """`data` with weights, each multiplied by what `given` says of the sample's class; 1 if it says nothing.

    ValueError for a class that the targets of these samples don't have, for negative weights and none above
    0; TypeError for targets that are no classes.
    """
    who = "fit: class_weight"
    if data.outputs is not None:
        raise TypeError(
            f"{who} is for one target, but y has several; weigh the samples by sample_weight instead"
        )
    classes = classes_of(who, data.targets[None], loss)
    present, counts = np.unique(data.chosen(classes), return_counts=True)
    if loss.ignore_index is not None:
        counts = counts[present != loss.ignore_index]
        present = present[present != loss.ignore_index]
    table = _table(who, given, present, counts)
    found, places = np.unique(classes, return_inverse=True)
    weight = np.array([table.get(each, 1.0) for each in found.tolist()])[places]
    if data.weight is not None:
        weight = weight * data.weight
    if not (data.chosen(weight) > 0).any():
        raise ValueError(f"{who}: no sample has a weight above 0")
    if weight.max() > np.finfo(dtype).max:
        raise ValueError(f"{who}: a sample's weight of {weight.max():g} overflows {dtype}")
    return data.weighted_by(weight.astype(dtype))


def class_weight_text(given: Any) -> str | None:
    """A checked `given` of `class_weighted`, in words that are the same for the same weights."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return str({int(key): float(given[key]) for key in sorted(given)})
    return str(np.asarray(given, np.float64).tolist())


def _table(who: str, given: Any, present: Array, counts: Array) -> dict[int, float]:
    """Class -> weight."""
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f'{who} must be weights by class or "balanced", got {given!r}')
        return dict(zip(present.tolist(), (counts.sum() / (len(counts) * counts)).tolist(), strict=True))
    if isinstance(given, Mapping):
        for key in given:
            if not isinstance(key, (int, np.integer)):
                raise TypeError(f"{who}: its keys are classes, integers, got {key!r}")
        unknown = sorted(set(given) - set(present.tolist()))
        if unknown:
            raise ValueError(
                f"{who} has the class {unknown[0]}, which no sample has; there are {listed(present)}"
            )
        return {int(key): number(who, f"of class {key}", value, least=0) for key, value in given.items()}
    weights = as_numbers(given, who)
    if weights.ndim != 1:
        raise ValueError(f"{who} must have one weight for each class, got shape {weights.shape}")
    outside = present[(present < 0) | (present >= len(weights))]
    if len(outside):
        raise ValueError(
            f"{who} has weights for the classes 0 to {len(weights) - 1}, but a sample has {outside[0]}"
        )
    return {i: number(who, f"of class {i}", value, least=0) for i, value in enumerate(weights.tolist())}
