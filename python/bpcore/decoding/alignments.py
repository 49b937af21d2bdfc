"""Labels from the frames of a model that `losses.ctc` has trained."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.settings import count
from bpcore.decoding.common import Decoded, frames_of, padded
from bpcore.losses.targets import PADDING

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["ctc_beam_search", "ctc_greedy"]


def ctc_greedy(logits: Any, lengths: Any = None, *, blank: int = 0) -> Decoded:
    """The labels of the likeliest alignment: the best class of each frame, repetitions and blanks left out.

    Args:
        logits: (n, frames, classes), or log-probabilities.
        lengths: (n,) integers, how many frames of each sequence count; all without.
        blank: the class that means no label.

    Returns `Decoded`: labels (n, most) with -1 behind the last, as `losses.ctc` takes them, lengths (n,), and
    scores (n,), the log-probabilities of the alignments.
    """
    scores, sizes, empty = frames_of("ctc_greedy", logits, lengths, blank)
    found, totals = [], np.zeros(len(scores))
    for i, (frames, size) in enumerate(zip(scores, sizes, strict=True)):
        found.append([int(c) for c, _ in groupby(frames[:size].argmax(axis=1)) if c != empty])
        totals[i] = frames[:size].max(axis=1).sum()
    return Decoded(*padded(found, PADDING), totals)


def ctc_beam_search(logits: Any, lengths: Any = None, *, width: int = 16, blank: int = 0) -> Decoded:
    """The likeliest label sequences, each with the sum over its alignments, by prefix beam search.

    A prefix's probability is the sum over its alignments with the frames so far, of those that end in a blank
    and those that do not; after each frame, the `width` likeliest are kept. As long as that drops none,
    scores are exact: minus the loss `ops.ctc`. A. Hannun et al., First-pass large vocabulary continuous
    speech recognition using bi-directional recurrent DNNs (2014), without a language model.

    Arguments are those of `ctc_greedy`, and `width`. Returns `Decoded`: labels (n, width, most) with -1
    behind the last, lengths (n, width), and scores (n, width), log-probabilities, from the best on.
    """
    wide = count("ctc_beam_search", "width", width, 1)
    scores, sizes, empty = frames_of("ctc_beam_search", logits, lengths, blank)
    found: list[list[int]] = []
    totals = np.full((len(scores), wide), -np.inf)
    for i, (frames, size) in enumerate(zip(scores, sizes, strict=True)):
        best = _prefixes(frames[:size], wide, empty)
        totals[i, : len(best)] = [total for _, total in best]
        found += [list(prefix) for prefix, _ in best] + [[] for _ in range(wide - len(best))]
    labels, counts = padded(found, PADDING)
    shape = len(scores), wide
    return Decoded(labels.reshape(*shape, labels.shape[1]), counts.reshape(shape), totals)


def _prefixes(frames: Array, width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """Label sequences with their log-probabilities, the best first."""
    # Of each prefix: (sum over alignments that end in a blank, sum over those that end in its last label).
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for frame in frames:
        after: dict[tuple[int, ...], list[float]] = {}
        possible = [int(c) for c in np.flatnonzero(frame > -np.inf) if c != blank]
        for prefix, (in_blank, in_label) in beam.items():
            either = np.logaddexp(in_blank, in_label)
            _add(after, prefix, 0, either + frame[blank])
            if prefix:
                _add(after, prefix, 1, in_label + frame[prefix[-1]])
            for label in possible:
                # Next to itself a label is a repetition, unless a blank stands between.
                before = in_blank if prefix and prefix[-1] == label else either
                _add(after, (*prefix, label), 1, before + frame[label])
        ranked = sorted(after.items(), key=lambda item: (-np.logaddexp(item[1][0], item[1][1]), item[0]))
        beam = {prefix: (sums[0], sums[1]) for prefix, sums in ranked[:width] if max(sums) > -np.inf}
    best = [(prefix, float(np.logaddexp(sums[0], sums[1]))) for prefix, sums in beam.items()]
    return sorted(best, key=lambda item: (-item[1], item[0]))


def _add(sums: dict[tuple[int, ...], list[float]], prefix: tuple[int, ...], which: int, term: float) -> None:
    held = sums.setdefault(prefix, [-np.inf, -np.inf])
    held[which] = float(np.logaddexp(held[which], term))
