"""What the decoders share: their results, and checks of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from bpcore.basics.arrays import Array, as_array
from bpcore.basics.settings import count, integer

__all__ = ["Decoded", "Step", "frames_of", "log_softmax", "next_scores", "padded", "settings", "starts"]

Step: TypeAlias = Callable[[Array, Any], tuple[Any, Any]]


class Decoded(NamedTuple):
    """Sequences: `tokens` (..., longest), int64, `lengths` (...) and `scores` (...), float64.

    The leading axes are (n,), or (n, width) of a beam search, the best first. What is behind a sequence's
    length is padding. A score of -infinity stands where a beam search has fewer hypotheses than its width.
    """

    tokens: Array
    lengths: Array
    scores: Array

    def sequences(self) -> list[Any]:
        """Each sequence without its padding: a list of arrays, of lists of them for a beam search."""
        if self.lengths.ndim == 1:
            return [row[:size] for row, size in zip(self.tokens, self.lengths, strict=True)]
        return [Decoded(*rows).sequences() for rows in zip(*self, strict=True)]


def padded(sequences: list[list[int]], value: int) -> tuple[Array, Array]:
    """Sequences as an array (n, longest), with `value` behind them, and their lengths."""
    lengths = np.array([len(each) for each in sequences], np.int64)
    tokens = np.full((len(sequences), max(lengths, default=0)), value, np.int64)
    for row, each in zip(tokens, sequences, strict=True):
        row[: len(each)] = each
    return tokens, lengths


def starts(who: str, start: Any) -> Array:
    """`start` as integers (n, t)."""
    tokens = as_array(start, f"{who}: start")
    if tokens.ndim not in (1, 2) or tokens.size == 0:
        raise ValueError(f"{who}: start must have shape (n,) or (n, t), not empty, got {tokens.shape}")
    if tokens.dtype != np.int64:
        raise TypeError(f"{who}: start must hold integers, got {tokens.dtype}")
    return tokens[:, None] if tokens.ndim == 1 else tokens


def settings(who: str, max_length: Any, end: Any) -> tuple[int, int | None]:
    """The most tokens and the token that ends, None if none does."""
    return count(who, "max_length", max_length, 1), None if end is None else integer(who, "end", end)


def next_scores(who: str, step: Step, tokens: Array, state: Any, end: int | None) -> tuple[Array, Any]:
    """Log-probabilities (n, vocabulary), float64, of the next token, and the state."""
    made = step(tokens, state)
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(f"{who}: step must return (logits, state), got {type(made).__name__}")
    logits = as_array(made[0], f"{who}: logits")
    if logits.ndim != 2 or len(logits) != len(tokens) or logits.shape[1] == 0:
        raise ValueError(
            f"{who}: step must return logits of shape ({len(tokens)}, vocabulary), got {logits.shape}"
        )
    if end is not None and not 0 <= end < logits.shape[1]:
        raise ValueError(f"{who}: end must be one of the {logits.shape[1]} tokens, got {end}")
    return log_softmax(who, logits), made[1]


def log_softmax(who: str, logits: Array) -> Array:
    """In float64, along the last axis; ValueError for NaN and where no class is possible."""
    wide = logits.astype(np.float64)
    largest = wide.max(axis=-1, keepdims=True)
    if not np.isfinite(largest).all():
        raise ValueError(f"{who}: logits must be finite, or -infinity for some of the classes")
    shifted = wide - largest
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def frames_of(who: str, logits: Any, lengths: Any, blank: Any) -> tuple[Array, Array, int]:
    """Log-probabilities (n, frames, classes), the frames of each sequence, and the blank, for ctc."""
    scores = as_array(logits, f"{who}: logits")
    if scores.ndim != 3 or scores.shape[-1] == 0:
        raise ValueError(f"{who}: logits must have shape (n, frames, classes), got {scores.shape}")
    empty = integer(who, "blank", blank)
    if not 0 <= empty < scores.shape[-1]:
        raise ValueError(f"{who}: blank must be one of the {scores.shape[-1]} classes, got {blank}")
    n, frames = scores.shape[:2]
    sizes = np.full(n, frames) if lengths is None else as_array(lengths, f"{who}: lengths")
    if sizes.shape != (n,) or sizes.dtype != np.int64:
        raise ValueError(f"{who}: lengths must be {n} integers, one a sequence, got shape {sizes.shape}")
    if ((sizes < 0) | (sizes > frames)).any():
        raise ValueError(f"{who}: lengths must be from 0 to {frames}, got {sizes.min()} to {sizes.max()}")
    counted = np.where((np.arange(frames) < sizes[:, None])[..., None], scores, 0.0)
    return log_softmax(who, counted) if counted.size else counted, sizes, empty
