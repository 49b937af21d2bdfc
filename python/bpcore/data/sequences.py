"""Sequences of different lengths as arrays, and in batches of similar ones."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import Array, as_array
from bpcore.basics.settings import choice, count, flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["bucket_by_length", "pad_sequences", "sliding_windows"]


def pad_sequences(
    sequences: Iterable[Any],
    *,
    value: float = 0,
    length: int | None = None,
    side: str = "right",
    dtype: Any = None,
) -> tuple[Array, Array]:
    """Sequences as one array (n, T, ...), filled up with `value`, and their lengths (n,).

    ::

        x, lengths = data.pad_sequences([[3, 1, 4], [1, 5]])     # [[3, 1, 4], [1, 5, 0]], [3, 2]
        mask = ops.sequence_mask(lengths, x.shape[1])            # for padding on the right

    Args:
        sequences: arrays or lists of numbers, shape (t,), or (t, ...) with the same other axes.
        value: what stands where a sequence has nothing; -1 for targets of `losses.ctc`, and for the
            ignore_index of `losses.cross_entropy`.
        length: T; the longest sequence's unless given. Longer ones lose what is at their end, for "right", or
            at their beginning.
        side: "right" or "left", where the padding is. Models that are read out at their last step want
            "left".
        dtype: that of the array; the sequences' common one unless given.

    Raises ValueError if `dtype` can't hold a value, and for sequences whose other axes differ.
    """
    who = "pad_sequences"
    on_left = choice(who, "side", side, ("right", "left")) == "left"
    parts = [as_array(each, f"{who}: sequence {i}") for i, each in enumerate(sequences)]
    flat = next((i for i, part in enumerate(parts) if part.ndim == 0), None)
    if flat is not None:
        raise ValueError(f"{who}: sequence {flat} is a single number")
    full = [part for part in parts if part.size]  # [] has a shape and a dtype that mean nothing
    inner = full[0].shape[1:] if full else ()
    for i, part in enumerate(parts):
        if part.size and part.shape[1:] != inner:
            raise ValueError(
                f"{who}: elements of the sequences have shape {inner}, those of sequence {i} {part.shape[1:]}"
            )
    longest = max((len(part) for part in parts), default=0)
    size = longest if length is None else count(who, "length", length, 0)
    common = np.result_type(*full) if full else np.dtype(np.int64)
    kind = common if dtype is None else np.dtype(dtype)
    padded = np.full((len(parts), size, *inner), _converted(who, "value", np.asarray(value), kind), kind)
    lengths = np.array([min(len(part), size) for part in parts], np.int64)
    for row, part, kept in zip(padded, parts, lengths, strict=True):
        if part.size and kept:
            filled, piece = (row[-kept:], part[-kept:]) if on_left else (row[:kept], part[:kept])
            filled[...] = _converted(who, "a sequence", piece, kind)
    return padded, lengths


def _converted(who: str, what: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` in `dtype`; ValueError for what does not fit: all that changes, or, in a float, overflows."""
    with np.errstate(all="ignore"):
        converted = array.astype(dtype)
        wrong = np.isinf(converted) & np.isfinite(array) if dtype.kind == "f" else converted != array
    if wrong.any():
        raise ValueError(f"{who}: {what} has {array[wrong].flat[0]}, which {dtype} can't hold")
    return converted


def bucket_by_length(
    lengths: Any,
    batch_size: int,
    *,
    width: int | None = None,
    buckets: Sequence[int] | None = None,
    shuffle: bool = True,
    seed: int = 0,
    epoch: int = 0,
) -> list[Array]:
    """Batches, arrays of indices, of sequences of similar lengths; each index is in one of them.

    A batch padded to its longest then has little padding::

        for epoch in range(10):
            for rows in data.bucket_by_length(lengths, 32, width=10, epoch=epoch):
                x, sizes = data.pad_sequences([texts[i] for i in rows])
                trainer.step(x, y[rows])

    A plan is made for each new shape, so that few lengths are faster: pad each batch to its bucket's end.

    Args:
        lengths: integers (n,), at least 0.
        batch_size: sequences of a batch; the last one of each bucket may be smaller.
        width: bucket i holds the lengths from i · width + 1 to (i + 1) · width, the first one 0, too.
        buckets: instead, the largest length of each bucket, in increasing order; what is longer than the last
            makes up one more. With neither, sequences are sorted by length, equal ones in random order, and
            cut into batches.
        shuffle: whether sequences within a bucket, and the batches, are in random order, the same for a
            `seed` and `epoch`; else both are in the order of lengths, equal ones as they come.
        seed: of the order, as NumPy's `default_rng`.
        epoch: another order for each.
    """
    who = "bucket_by_length"
    sizes = as_array(lengths, f"{who}: lengths")
    if sizes.ndim != 1 or (sizes.dtype != np.int64 and sizes.size):
        raise ValueError(f"{who}: lengths must be integers of shape (n,), got {sizes.dtype} {sizes.shape}")
    if (sizes < 0).any():
        raise ValueError(f"{who}: lengths must be at least 0, got {sizes.min()}")
    rows = count(who, "batch_size", batch_size, 1)
    mixed = flag(who, "shuffle", shuffle)
    rng = np.random.default_rng([count(who, "seed", seed, 0), count(who, "epoch", epoch, 0)])
    if width is not None and buckets is not None:
        raise ValueError(f"{who}: give width= or buckets=, not both")
    order = rng.permutation(len(sizes)) if mixed else np.arange(len(sizes))
    bucket = np.zeros(len(sizes), np.int64)
    by = sizes  # what sequences are sorted by: within a shuffled bucket nothing
    if width is not None:
        bucket = np.maximum(sizes - 1, 0) // count(who, "width", width, 1)
    elif buckets is not None:
        bucket = np.searchsorted(_edges(who, buckets), sizes)
    if mixed and (width is not None or buckets is not None):
        by = bucket
    order = order[np.argsort(by[order], kind="stable")]
    cuts = np.flatnonzero(np.diff(bucket[order])) + 1
    batches = [
        part[first : first + rows] for part in np.split(order, cuts) for first in range(0, len(part), rows)
    ]
    return [batches[i] for i in rng.permutation(len(batches))] if mixed else batches


def _edges(who: str, buckets: Sequence[int]) -> list[int]:
    edges = [count(who, "buckets", edge, 0) for edge in buckets]
    if not edges or any(a >= b for a, b in itertools.pairwise(edges)):
        raise ValueError(f"{who}: buckets must be lengths in increasing order, got {buckets!r}")
    return edges


def sliding_windows(tokens: Any, length: int, *, stride: int | None = None) -> tuple[Array, Array]:
    """Inputs and targets of a language model: windows of `length` tokens, and those that follow each token.

    Both have shape (count, length), or (count, length, ...) for tokens of more axes, and are read-only views
    of `tokens`, without a copy: target [i, t] is token i · stride + t + 1. A trainer copies what it takes.

    Args:
        tokens: (n,) or (n, ...).
        length: tokens of a window, from 1 to n - 1.
        stride: how far apart windows begin, `length` unless given: then no token is an input twice. What is
            left at the end is in no window.
    """
    who = "sliding_windows"
    array = as_array(tokens, f"{who}: tokens")
    size = count(who, "length", length, 1)
    step = size if stride is None else count(who, "stride", stride, 1)
    if array.ndim == 0 or len(array) <= size:
        raise ValueError(
            f"{who}: windows of {size} tokens and those that follow take {size + 1} tokens at least, got "
            f"shape {array.shape}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(array, size + 1, axis=0)[::step]
    windows = np.moveaxis(windows, -1, 1)
    return windows[:, :-1], windows[:, 1:]
