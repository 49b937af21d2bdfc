"""How far sequences are from what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["edit_distance", "error_rate"]


def edit_distance(a: Sequence[Hashable] | Any, b: Sequence[Hashable] | Any) -> int:
    """The fewest insertions, deletions and substitutions that make the sequence `b` of `a`.

    Strings are sequences of characters; lists of words and arrays of integers serve as well. V. I.
    Levenshtein, Binary codes capable of correcting deletions, insertions and reversals (1966).
    """
    numbers: dict[Hashable, int] = {}
    first, second = (
        np.array([numbers.setdefault(each, len(numbers)) for each in sequence], np.int64)
        for sequence in (a, b)
    )
    places = np.arange(len(second) + 1)
    row = places.copy()  # distances of what has been read of `a` from each prefix of `b`
    for element in first:
        kept = np.concatenate([[row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + (second != element))])
        row = np.minimum.accumulate(kept - places) + places  # and insertions, from the left
    return int(row[-1])


def error_rate(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """The sum of edit distances by the sum of lengths of `expected`: of strings the character error rate.

    With lists of words, it is the word error rate. Both hold one sequence each, in the same order.
    """
    if len(found) != len(expected):
        raise ValueError(f"error_rate: {len(found)} sequences found, but {len(expected)} expected")
    size = sum(len(each) for each in expected)
    if size == 0:
        raise ValueError("error_rate: nothing is expected, so there is no rate")
    return sum(edit_distance(a, b) for a, b in zip(found, expected, strict=True)) / size
