"""pad_sequences, bucket_by_length, sliding_windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import data, losses, nn, ops

A, B = [[3, 1, 4], [1], [], [5, 9]], np.arange(12.0).reshape(6, 2)


def test_sequences_are_padded_to_the_longest() -> None:
    x, lengths = data.pad_sequences(A)
    np.testing.assert_array_equal(x, [[3, 1, 4], [1, 0, 0], [0, 0, 0], [5, 9, 0]])
    np.testing.assert_array_equal(lengths, [3, 1, 0, 2])
    assert (x.dtype, lengths.dtype) == (np.int64, np.int64)
    mask = ops.sequence_mask(lengths, x.shape[1])
    np.testing.assert_array_equal(x[mask], [3, 1, 4, 1, 5, 9])


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"side": "left", "value": -1}, [[3, 1, 4], [-1, -1, 1], [-1, -1, -1], [-1, 5, 9]]),
        ({"length": 2}, [[3, 1], [1, 0], [0, 0], [5, 9]]),
        ({"length": 2, "side": "left"}, [[1, 4], [0, 1], [0, 0], [5, 9]]),
        ({"length": 4}, [[3, 1, 4, 0], [1, 0, 0, 0], [0, 0, 0, 0], [5, 9, 0, 0]]),
        ({"length": 0}, [[], [], [], []]),
    ],
    ids=str,
)
def test_sides_and_lengths(options: dict[str, Any], want: Any) -> None:
    x, lengths = data.pad_sequences(A, **options)
    np.testing.assert_array_equal(x, np.array(want).reshape(4, -1))
    np.testing.assert_array_equal(lengths, np.minimum([3, 1, 0, 2], options.get("length", 3)))


def test_elements_may_have_axes_and_the_dtype_is_the_common_one() -> None:
    x, lengths = data.pad_sequences((B[:2].astype("float32"), B[2:5], []), value=np.nan)
    assert (x.shape, x.dtype) == ((3, 3, 2), np.float64)
    np.testing.assert_array_equal(lengths, [2, 3, 0])
    np.testing.assert_array_equal(x[0], [*B[:2], [np.nan] * 2])
    np.testing.assert_array_equal(x[1], B[2:5])
    assert data.pad_sequences([B[:2].astype("float32")])[0].dtype == np.float32
    assert data.pad_sequences(A, dtype="float32")[0].dtype == np.float32
    assert data.pad_sequences(A, dtype=np.uint8)[0].dtype == np.uint8


def test_of_nothing_and_of_one() -> None:
    x, lengths = data.pad_sequences([])
    assert (x.shape, lengths.shape) == ((0, 0), (0,))
    x, lengths = data.pad_sequences([[], []], length=2)
    np.testing.assert_array_equal(x, [[0, 0], [0, 0]])
    x, lengths = data.pad_sequences(iter([[7, 8]]))
    np.testing.assert_array_equal(x, [[7, 8]])
    np.testing.assert_array_equal(lengths, [2])


@pytest.mark.parametrize(
    ("sequences", "options", "error", "message"),
    [
        ([[1], 2], {}, ValueError, "sequence 1 is a single number"),
        ([B, [1.0]], {}, ValueError, r"elements .* have shape \(2,\), those of sequence 1 \(\)"),
        ([["a"]], {}, TypeError, "sequence 0: expected numbers"),
        ([[[1], [2, 3]]], {}, ValueError, "sequence 0: the rows have different lengths"),
        (A, {"side": "both"}, ValueError, 'side must be "right" or "left"'),
        (A, {"length": -1}, ValueError, "length must be at least 0"),
        (A, {"length": 2.0}, TypeError, "length must be an integer"),
        (A, {"value": 0.5}, ValueError, "value has 0.5, which int64 can't hold"),
        (A, {"value": -1, "dtype": "uint8"}, ValueError, "value has -1, which uint8 can't hold"),
        ([[1, 300]], {"dtype": "uint8"}, ValueError, "a sequence has 300, which uint8 can't hold"),
        ([[1, 0.5]], {"dtype": "int64"}, ValueError, "a sequence has 0.5, which int64 can't hold"),
        ([[1, 1e300]], {"dtype": "float32"}, ValueError, r"a sequence has 1e\+300, which float32 can't hold"),
        ([[1]], {"value": np.nan}, ValueError, "value has nan, which int64 can't hold"),
    ],
    ids=str,
)
def test_padding_refuses(sequences: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^pad_sequences: {message}"):
        data.pad_sequences(sequences, **options)


# Buckets

LENGTHS = np.random.default_rng(0).integers(0, 60, 203)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("how", [{}, {"width": 10}, {"buckets": [5, 20, 40]}], ids=str)
def test_each_index_is_in_one_batch_of_one_bucket(how: dict[str, Any], shuffle: bool) -> None:
    batches = data.bucket_by_length(LENGTHS, 16, shuffle=shuffle, **how)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(203))
    assert max(len(batch) for batch in batches) == 16
    seen: dict[int, list[int]] = {}
    for batch in batches:
        sizes = LENGTHS[batch]
        if "width" in how:
            kinds = set(np.maximum(sizes - 1, 0) // 10)
        elif how:
            kinds = {sum(size > edge for edge in (5, 20, 40)) for size in sizes}
        else:
            kinds = {0}
        assert len(kinds) == 1
        seen.setdefault(kinds.pop(), []).append(len(batch))
    assert all(sorted(sizes)[1:] == [16] * (len(sizes) - 1) for sizes in seen.values()), "one is smaller"


def test_without_buckets_batches_are_cut_from_the_sorted_lengths() -> None:
    batches = data.bucket_by_length(LENGTHS, 16, shuffle=False)
    np.testing.assert_array_equal(np.concatenate(batches), np.argsort(LENGTHS, kind="stable"))
    mixed = sorted(data.bucket_by_length(LENGTHS, 16), key=lambda batch: tuple(sorted(LENGTHS[batch])))
    for one, other in zip(batches, mixed, strict=True):
        np.testing.assert_array_equal(LENGTHS[one], np.sort(LENGTHS[other]))


@pytest.mark.parametrize("how", [{}, {"width": 10}, {"buckets": [30]}], ids=str)
def test_the_order_is_that_of_seed_and_epoch(how: dict[str, Any]) -> None:
    def order(**options: Any) -> list[list[int]]:
        return [batch.tolist() for batch in data.bucket_by_length(LENGTHS, 16, **how, **options)]

    orders = [order(), order(epoch=1), order(seed=1), order(seed=1, epoch=1), order(shuffle=False)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert order(seed=1, epoch=1) == orders[3]
    assert order(shuffle=False, seed=5, epoch=3) == orders[4]
    if how:
        assert sorted(map(sorted, orders[0])) != sorted(map(sorted, orders[1])), "the batches are others"


def test_buckets_of_nothing_and_of_one() -> None:
    assert data.bucket_by_length([], 4) == []
    assert data.bucket_by_length(np.zeros(0, int), 4, width=3) == []
    assert [batch.tolist() for batch in data.bucket_by_length([7], 4, width=3)] == [[0]]


@pytest.mark.parametrize(
    ("lengths", "size", "options", "error", "message"),
    [
        ([[1]], 2, {}, ValueError, r"lengths must be integers of shape \(n,\), got int64 \(1, 1\)"),
        ([1.0], 2, {}, ValueError, "lengths must be integers"),
        ([3, -1], 2, {}, ValueError, "lengths must be at least 0, got -1"),
        ([3], 0, {}, ValueError, "batch_size must be at least 1"),
        ([3], 2, {"width": 0}, ValueError, "width must be at least 1"),
        ([3], 2, {"width": 2, "buckets": [3]}, ValueError, "give width= or buckets=, not both"),
        ([3], 2, {"buckets": []}, ValueError, "buckets must be lengths in increasing order"),
        ([3], 2, {"buckets": [3, 3]}, ValueError, "buckets must be lengths in increasing order"),
        ([3], 2, {"shuffle": 1}, TypeError, "shuffle must be True or False"),
        ([3], 2, {"seed": -1}, ValueError, "seed must be at least 0"),
        ([3], 2, {"epoch": 0.5}, TypeError, "epoch must be an integer"),
    ],
    ids=str,
)
def test_buckets_refuse(
    lengths: Any, size: int, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^bucket_by_length: {message}"):
        data.bucket_by_length(lengths, size, **options)


# Windows


@pytest.mark.parametrize("stride", [None, 1, 2, 5])
@pytest.mark.parametrize("inner", [(), (2,), (2, 3)])
@pytest.mark.parametrize(("n", "length"), [(2, 1), (13, 4), (12, 4), (9, 8), (30, 1)])
def test_windows_and_the_tokens_that_follow(
    n: int, length: int, inner: tuple[int, ...], stride: int | None
) -> None:
    tokens = np.arange(n * int(np.prod(inner))).reshape(n, *inner)
    x, y = data.sliding_windows(tokens, length, stride=stride)
    begins = range(0, n - length, stride or length)
    assert x.shape == y.shape == (len(begins), length, *inner)
    for i, begin in enumerate(begins):
        np.testing.assert_array_equal(x[i], tokens[begin : begin + length])
        np.testing.assert_array_equal(y[i], tokens[begin + 1 : begin + length + 1])
    assert np.shares_memory(x, tokens)
    assert np.shares_memory(y, tokens)
    assert not x.flags.writeable


def test_a_trainer_takes_windows_as_they_are() -> None:
    tokens = np.arange(200) % 7
    x, y = data.sliding_windows(tokens, 9)

    class Follower(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Dense(7)

        def __call__(self, x: Any) -> Any:
            return self.layer(ops.one_hot(x, 7))

    trainer = bp.Trainer(Follower(), "cross_entropy", bp.optim.Adam(0.05), metrics=["accuracy"])
    trainer.fit(x, y, epochs=40, batch_size=8, progress=False)
    assert trainer.evaluate(x, y)["accuracy"] == 1
    value = losses.cross_entropy(trainer.model(x.copy()), y.copy())
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize(
    ("tokens", "length", "options", "error", "message"),
    [
        ([1, 2, 3], 3, {}, ValueError, r"take 4 tokens at least, got shape \(3,\)"),
        ([], 1, {}, ValueError, "take 2 tokens at least"),
        (3, 1, {}, ValueError, r"take 2 tokens at least, got shape \(\)"),
        ([1, 2, 3], 0, {}, ValueError, "length must be at least 1"),
        ([1, 2, 3], 1, {"stride": 0}, ValueError, "stride must be at least 1"),
        (["a", "b"], 1, {}, TypeError, "tokens: expected numbers"),
    ],
    ids=str,
)
def test_windows_refuse(
    tokens: Any, length: int, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^sliding_windows: .*{message}"):
        data.sliding_windows(tokens, length, **options)
