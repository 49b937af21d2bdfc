"""What `ctc` computes: by all alignments, one after the other, and by loops over frames and states."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    """The labels of an alignment: repetitions drawn together, then without blanks."""
    return [label for label, _ in groupby(path) if label != blank]


def ctc_by_enumeration(
    scores: Array, labels: Array, input_lengths: Array, label_lengths: Array, blank: int
) -> tuple[Array, Array]:
    """Losses (n,) and their derivatives by the scores (n, frames, classes); for a few frames only."""
    losses, slopes = np.zeros(len(scores)), np.zeros(scores.shape)
    for n, (frames, count) in enumerate(zip(input_lengths, label_lengths, strict=True)):
        total, shares = 0.0, np.zeros(scores.shape[1:])
        for path in product(range(scores.shape[2]), repeat=int(frames)):
            if collapsed(path, blank) == list(labels[n, :count]):
                at = np.arange(frames), np.array(path, int)
                share = np.exp(scores[n][at].sum())
                total += share
                shares[at] += share
        losses[n] = -np.log(total) if total else np.inf
        slopes[n] = -shares / total if total else 0.0
    return losses, slopes


def ctc(scores: Array, labels: Array, input_lengths: Array, label_lengths: Array, blank: int = 0) -> Array:
    """The losses (n,)."""
    rows = zip(scores, labels, input_lengths, label_lengths, strict=True)
    totals = [_forward(x[:t], list(y[:count]), blank)[1] for x, y, t, count in rows]
    return -np.asarray(totals, float)


def ctc_gradient(
    scores: Array, labels: Array, input_lengths: Array, label_lengths: Array, seed: Array, blank: int = 0
) -> Array:
    """The derivatives of Σ seed · ctc by the scores: a sequence read backwards has the sums to its end."""
    slopes = np.zeros(scores.shape)
    for n, (t, count) in enumerate(zip(input_lengths, label_lengths, strict=True)):
        x, y = scores[n, :t], list(labels[n, :count])
        ways, total = _forward(x, y, blank)
        rest = _forward(x[::-1], y[::-1], blank)[0][::-1, ::-1]
        if np.isfinite(total):
            states = _states(y, blank)
            for frame in range(t):
                shares = np.exp(ways[frame] + rest[frame] - x[frame, states] - total)
                np.add.at(slopes[n, frame], states, -seed[n] * shares)
    return slopes


def _states(labels: list[int], blank: int) -> list[int]:
    return [blank] + [state for label in labels for state in (label, blank)]


def _forward(scores: Array, labels: list[int], blank: int) -> tuple[Array, float]:
    """Logarithms of the sums over all ways to each state (frames, states), and over all to the end."""
    states = np.array(_states(labels, blank))
    skips = np.full(len(states), -np.inf)  # 0 where a state follows the last but one
    skips[2:][(states[2:] != blank) & (states[2:] != states[:-2])] = 0
    ways = np.full((len(scores), len(states)), -np.inf)
    for t, frame in enumerate(scores):
        if t == 0:
            ways[t, :2] = frame[states[:2]]
            continue
        total = ways[t - 1].copy()
        total[1:] = np.logaddexp(total[1:], ways[t - 1, :-1])
        total[2:] = np.logaddexp(total[2:], ways[t - 1, :-2] + skips[2:])
        ways[t] = total + frame[states]
    if not len(scores):
        return ways, 0.0 if not labels else -np.inf
    return ways, float(np.logaddexp.reduce(ways[-1, -2:]))
