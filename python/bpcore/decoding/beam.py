"""Beam search: the likeliest sequences among those whose beginnings are likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics import tree
from bpcore.basics.settings import count, number
from bpcore.decoding.common import Decoded, Step, next_scores, padded, settings, starts

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["beam_search"]


def beam_search(
    step: Step,
    start: Any,
    *,
    width: int,
    max_length: int,
    end: int | None = None,
    length_penalty: float = 0.0,
    state: Any = None,
) -> Decoded:
    """The best `width` sequences for each start, of those whose prefixes are among the `width` likeliest.

    A sequence's score is the sum of its tokens' log-probabilities, divided by (number of tokens, the end
    included) to the power of `length_penalty`: 0 finds the likeliest sequence, 1 that of the best mean, which
    favours longer ones. With a `width` of no less than the number of prefixes of any length, the best is the
    best of all.

    Args:
        step: see `bpcore.decoding`. It is called with n · width rows, where those of one start are
            neighbours, and each row of a state follows the prefix that it belongs to.
        start: what the sequences begin with, integers (n,) or (n, t).
        width: how many prefixes are kept for each start, and sequences returned.
        max_length: the most tokens to add, the end included.
        end: the token that ends a sequence, not counted in the lengths. None: all get `max_length` tokens.
        length_penalty: at least 0.
        state: what `step` is given as its state the first time, arrays of n rows.

    Returns `Decoded`, tokens (n, width, longest) with `end` (or 0) behind shorter ones, lengths (n, width)
    and scores (n, width), from the best on.
    """
    who = "beam_search"
    tokens = starts(who, start)
    most, last = settings(who, max_length, end)
    wide = count(who, "width", width, 1)
    power = number(who, "length_penalty", length_penalty, least=0)
    n, first = tokens.shape
    tokens = np.repeat(tokens, wide, axis=0)
    state = _rows(who, state, np.repeat(np.arange(n), wide), n)
    sums = np.full((n, wide), -np.inf)  # of the prefixes; only one for each start at first
    sums[:, 0] = 0.0
    done: list[list[tuple[float, list[int]]]] = [[] for _ in range(n)]

    def finish(i: int, row: int, total: float, size: int) -> None:
        if total > -np.inf:
            done[i].append((float(total) / size**power, tokens[row, first:].tolist()))

    for size in range(1, most + 1):
        each, state = next_scores(who, step, tokens, state, last)
        totals = sums[:, :, None] + each.reshape(n, wide, -1)
        vocabulary = totals.shape[2]
        if last is not None:
            for i in range(n):
                for j in range(wide):
                    finish(i, i * wide + j, totals[i, j, last], size)
            totals[:, :, last] = -np.inf
        flat = totals.reshape(n, -1)
        order = np.argsort(-flat, axis=1, kind="stable")[:, :wide]
        order = np.pad(order, ((0, 0), (0, wide - order.shape[1])))
        sums = np.take_along_axis(flat, order, axis=1)
        sums[:, flat.shape[1] :] = -np.inf  # slots for which there is no candidate
        rows = (np.arange(n)[:, None] * wide + order // vocabulary).reshape(-1)
        tokens = np.concatenate([tokens[rows], (order % vocabulary).reshape(-1, 1)], axis=1)
        state = _rows(who, state, rows, n * wide)
        for i in range(n):
            done[i] = sorted(done[i], key=_by_score)[:wide]
        # More tokens make no sum larger, so nothing gets above this score.
        if all(
            (len(done[i]) == wide and sums[i, 0] / most**power <= done[i][-1][0]) or sums[i, 0] == -np.inf
            for i in range(n)
        ):
            break
    else:
        for i in range(n):
            for j in range(wide):
                finish(i, i * wide + j, sums[i, j], most)
    return _collected(done, wide, 0 if last is None else last)


def _by_score(hypothesis: tuple[float, list[int]]) -> tuple[float, list[int]]:
    return -hypothesis[0], hypothesis[1]


def _collected(done: list[list[tuple[float, list[int]]]], width: int, padding: int) -> Decoded:
    """The best `width` of each start."""
    best = [sorted(each, key=_by_score)[:width] for each in done]
    filled = [each + [(-np.inf, [])] * (width - len(each)) for each in best]
    tokens, lengths = padded([sequence for each in filled for _, sequence in each], padding)
    shape = (len(done), width)
    scores = np.array([[score for score, _ in each] for each in filled])
    return Decoded(tokens.reshape(*shape, -1), lengths.reshape(shape), scores)


def _rows(who: str, state: Any, rows: Array, expected: int) -> Any:
    """The `rows` of each array in `state`."""

    def taken(leaf: Any) -> Any:
        if leaf is None:
            return None
        if not isinstance(leaf, np.ndarray) or leaf.shape[:1] != (expected,):
            found = f"one of shape {leaf.shape}" if isinstance(leaf, np.ndarray) else type(leaf).__name__
            raise ValueError(f"{who}: a state must be arrays of {expected} rows, got {found}")
        return leaf[rows]

    return tree.rebuild(state, taken)
