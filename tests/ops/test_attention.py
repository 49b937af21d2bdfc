"""Attention of the core: values, derivatives, masks, dropout, memory, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore._native import core
from bpcore.ops.attention import packed_attention
from bpcore.symbolic.operators import apply
from tests.support.check_op import Case, check_op
from tests.support.draw import integers, mask, normal
from tests.support.graphs import f32, f64, i64, infer


def _reference(
    q: Any, k: Any, v: Any, seen: Any = None, lengths: Any = None, causal: bool = False, scale: Any = None
) -> tuple[Any, Any]:
    """Output and log-sum-exp, one query of one head at a time."""
    batch, queries, heads, width = q.shape
    keys = k.shape[1]
    if seen is not None:
        seen = np.broadcast_to(seen, (batch, heads, queries, keys))
    out, sums = np.zeros_like(q), np.full((batch, heads, queries), np.inf, q.dtype)
    for n, h, i in itertools.product(range(batch), range(heads), range(queries)):
        visible = [
            j
            for j in range(keys)
            if (seen is None or seen[n, h, i, j])
            and (lengths is None or j < lengths[n])
            and (not causal or j <= i)
        ]
        if not visible:
            continue
        scores = k[n, visible, h] @ q[n, i, h] * (width**-0.5 if scale is None else scale)
        largest = scores.max()
        weights = np.exp(scores - largest)
        out[n, i, h] = weights @ v[n, visible, h] / weights.sum()
        sums[n, h, i] = largest + np.log(weights.sum())
    return out, sums


def _expected(q: Any, k: Any, v: Any, seen: Any = None, lengths: Any = None, **options: Any) -> Any:
    return _reference(q, k, v, seen, lengths, **options)[0]


def _attended(q: Any, k: Any, v: Any, seen: Any = None, lengths: Any = None, **options: Any) -> Any:
    return ops.scaled_dot_product_attention(q, k, v, seen, lengths=lengths, **options)


_attended.__name__ = "attention"


def _inputs(batch: int, queries: int, keys: int, heads: int, width: int) -> tuple[Any, Any, Any]:
    rows = (batch, queries, heads, width), (batch, keys, heads, width)
    return normal(rows[0]), normal(rows[1], key=1), normal(rows[1], key=2)


def _record(*pieces: Any) -> Any:
    """The pieces in a row, each followed by zeros up to a multiple of 16 elements."""
    padded = [np.append(x, np.zeros(-x.size % 16, x.dtype)) for x in pieces]
    return np.concatenate(padded)


def _attention_grad_reference(q: Any, k: Any, v: Any, out: Any, sums: Any, seed: Any, **_: Any) -> Any:
    """The formulas of the derivative, head by head."""
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for n, h in itertools.product(range(q.shape[0]), range(q.shape[2])):
        weights = np.exp(q[n, :, h] @ k[n, :, h].T * 0.5 - sums[n, h][:, None])
        dv[n, :, h] = weights.T @ seed[n, :, h]
        slopes = seed[n, :, h] @ v[n, :, h].T - (seed[n, :, h] * out[n, :, h]).sum(1, keepdims=True)
        slopes = weights * slopes * 0.5
        dq[n, :, h], dk[n, :, h] = slopes @ k[n, :, h], slopes.T @ q[n, :, h]
    return _record(dq, dk, dv)


_PLAIN = {"heads": 0, "causal": False, "rate": 0.0, "stream": 0, "masked": False, "lengths": False}
_OF_GRADIENT = _inputs(2, 5, 7, 2, 4)

# batch, queries, keys, heads, width; around the blocks of 64 and the kernels' tiles
SIZES = [
    (1, 1, 1, 1, 1), (2, 3, 5, 2, 3), (1, 5, 3, 1, 8), (2, 1, 9, 1, 4), (1, 64, 64, 1, 32),
    (1, 63, 65, 2, 17), (1, 65, 130, 1, 5), (1, 130, 65, 1, 16), (2, 17, 18, 3, 33), (0, 3, 4, 2, 5),
    (2, 0, 4, 2, 5), (2, 3, 0, 2, 5), (1, 20, 9, 1, 128),
]  # fmt: skip

CASES = [
    Case(_attended, _expected, *_inputs(*sizes), causal=causal, epsilons=64, floor=1, order=2)
    for sizes in SIZES
    for causal in (False, True)
] + [
    Case(
        "attention_gradient",
        _attention_grad_reference,
        *_OF_GRADIENT,
        *_reference(*_OF_GRADIENT, scale=0.5),
        normal((2, 5, 2, 4), key=5),
        **_PLAIN,
        scale=0.5,
        epsilons=64,
        floor=1,
        differentiable=False,
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        (2, 2, 70, 66),
        (2, 1, 70, 66),
        (1, 2, 1, 66),
        (70, 66),
        (66,),
        (2, 1, 1, 66),
        (70, 1),
        (),
        (1, 1, 1, 1),
    ],
)
def test_masks_of_every_shape_and_lengths(shape: tuple[int, ...], limited: bool, causal: bool) -> None:
    q, k, v = _inputs(2, 70, 66, 2, 5)
    seen, lengths = mask(shape, key=3), integers((2,), 0, 67, key=4) if limited else None
    if not shape:
        seen = np.asarray(True)
    extra = (seen,) if lengths is None else (seen, lengths)
    check_op(_attended, _expected, q, k, v, *extra, causal=causal, epsilons=64, floor=1, order=2)


def test_a_query_that_sees_nothing_gets_zeros_and_passes_no_gradient_on() -> None:
    q, k, v = _inputs(2, 4, 6, 2, 3)
    seen = np.ones((4, 6), bool)
    seen[1] = False
    lengths = np.array([0, 6])

    def total(q: Any, k: Any, v: Any) -> Any:
        return ops.sum(_attended(q, k, v, seen, lengths))

    out = _attended(q, k, v, seen, lengths)
    assert not out[0].any()
    assert not out[1, 1].any()
    assert out[1, [0, 2, 3]].all()
    dq, dk, dv = bp.grad(total, (0, 1, 2))(q, k, v)
    assert not dq[0].any()
    assert not dq[1, 1].any()
    assert not dk[0].any()
    assert not dv[0].any()
    assert np.isfinite([x.sum() for x in (dq, dk, dv)]).all()


def test_keys_behind_the_length_are_not_even_read() -> None:
    q, k, v = _inputs(1, 4, 6, 1, 3)
    k[:, 4:], v[:, 4:] = np.nan, np.inf
    got = _attended(q, k, v, None, np.array([4]))
    np.testing.assert_array_equal(got, _attended(q, k[:, :4].copy(), v[:, :4].copy()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_scores_do_not_overflow_and_a_nan_stays(dtype: str) -> None:
    q, k, v = (x.astype(dtype) for x in _inputs(1, 70, 70, 1, 4))
    got = _attended(300 * q, k, v)
    np.testing.assert_allclose(got, _expected(300 * q, k, v), rtol=1e-3 if dtype == "float32" else 1e-10)
    q[0, 3, 0, 1] = np.nan
    assert np.flatnonzero(np.isnan(_attended(q, k, v)).all((0, 2, 3))).tolist() == [3]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_all_in_one_gives_the_bits_of_three(limited: bool, causal: bool) -> None:
    x = normal((2, 70, 3 * 2 * 5))
    lengths = np.array([70, 11]) if limited else None
    seed = normal((2, 70, 10), key=1)

    def packed(x: Any) -> Any:
        return packed_attention(x, 2, None, causal, 0.0, lengths, "")

    def three(q: Any, k: Any, v: Any) -> Any:
        return ops.reshape(_attended(q, k, v, None, lengths, causal=causal), (2, 70, 10))

    parts = [np.ascontiguousarray(part).reshape(2, 70, 2, 5) for part in np.split(x, 3, -1)]
    np.testing.assert_array_equal(packed(x), three(*parts))
    got = bp.grad(lambda x: ops.sum(packed(x) * seed))(x)
    want = bp.grad(lambda *parts: ops.sum(three(*parts) * seed), (0, 1, 2))(*parts)
    np.testing.assert_array_equal(got, np.concatenate([part.reshape(2, 70, 10) for part in want], -1))
    along = normal(x.shape, key=7)
    bp.check_gradients(lambda t: packed(x + t * along), np.zeros(()), order=2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(1, 5, 7, 2, 3), (2, 70, 66, 1, 4)])
def test_the_backward_pass_drops_the_same_weights(sizes: tuple[int, ...], causal: bool) -> None:
    inputs = _inputs(*sizes)  # type: ignore[arg-type]
    along = [normal(x.shape, key=8) for x in inputs]

    def moved(t: Any) -> Any:
        parts = [x + t * way for x, way in zip(inputs, along, strict=True)]
        return ops.scaled_dot_product_attention(*parts, causal=causal, dropout=0.4)

    with bp.training(5):
        first = moved(0.0)
        np.testing.assert_array_equal(first, moved(0.0))
        bp.check_gradients(moved, np.zeros(()), order=2)
    with bp.training(6):
        assert (moved(0.0) != first).mean() > 0.5
    np.testing.assert_array_equal(moved(0.0), _attended(*inputs, causal=causal))


def test_dropout_drops_the_share_that_it_is_given_and_keeps_the_mean() -> None:
    # Every weight is 1 / 32, value j is 2^-j: the kept keys can be read from the bits of a result.
    q = k = np.zeros((4, 200, 2, 1))
    k = k[:, :32]
    v = np.broadcast_to(2.0 ** -np.arange(32)[:, None, None], k.shape).copy()
    with bp.training(1):
        out = ops.scaled_dot_product_attention(q, k, v, dropout=0.25)
    kept = np.rint(out * 32 * 0.75 * 2.0**31).astype(np.int64)
    bits = (kept[..., None] >> np.arange(32)) & 1
    share = bits.mean()
    assert abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / bits.size)
    assert abs(bits.mean((0, 1, 2, 3)) - 0.75).max() < 5 * np.sqrt(0.75 * 0.25 / (bits.size / 32))
    with bp.training(1):
        assert not ops.scaled_dot_product_attention(q, k, v, dropout=1.0).any()


def test_memory_does_not_grow_with_the_product_of_queries_and_keys() -> None:
    def bytes_of(time: int, gradient: bool) -> int:
        graph = core.Graph()
        shape = (1, time, 4, 32)
        options = {**_PLAIN, "scale": 0.2, "causal": True}
        inputs = [graph.input(shape, "float32") for _ in range(3)]
        record = graph.add("attention", inputs, options)
        out = graph.add("part", [record], {"offset": 0, "shape": list(shape)})
        outputs = [out]
        if gradient:
            outputs += graph.gradients(out, inputs, graph.input(shape, "float32"))
        plan = core.Plan(graph, outputs)
        return int(plan.arena_bytes + plan.scratch_bytes)

    one = 4096 * 4 * 32 * 4  # bytes of q
    assert bytes_of(4096, False) < 1.2 * one
    assert bytes_of(4096, True) < 4.5 * one  # the output and three gradients, and little else
    assert bytes_of(4096, True) < 4.5 * bytes_of(1024, True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_number_of_threads_changes_no_bit(dtype: str, causal: bool) -> None:
    shape = (3, 150, 4, 20)
    graph = core.Graph()
    inputs = [graph.input(shape, dtype) for _ in range(3)]
    options = {**_PLAIN, "scale": 0.2, "causal": causal, "rate": 0.1, "stream": 3}
    out = graph.add("part", [graph.add("attention", inputs, options)], {"offset": 0, "shape": list(shape)})
    found = graph.gradients(out, inputs, graph.input(shape, dtype))
    plan = core.Plan(graph, [out, *found])
    arrays = [normal(shape, key=i).astype(dtype) for i in range(4)]
    one = plan.run(None, arrays, threads=1, seed=2)
    assert plan.threads(8) == 8
    for threads in (2, 3, 8):
        for a, b in zip(one, plan.run(None, arrays, threads=threads, seed=2), strict=True):
            assert a.tobytes() == b.tobytes(), threads


_OK = f32(2, 3, 2, 4), f32(2, 5, 2, 4), f32(2, 5, 2, 4)
_RULES: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ((f32(2, 3, 8), *_OK[1:]), {}, ValueError, r"attention: expected q \(batch, queries, heads, width\)"),
    ((*_OK[:2], f32(2, 4, 2, 4)), {}, ValueError, "got shapes"),
    ((*_OK[:1], f32(3, 5, 2, 4), f32(3, 5, 2, 4)), {}, ValueError, "got shapes"),
    ((f32(2, 3, 2, 0), f32(2, 5, 2, 0), f32(2, 5, 2, 0)), {}, ValueError, "at least 1"),
    ((i64(2, 3, 2, 4), *_OK[1:]), {}, TypeError, "must be float32 or float64"),
    ((*_OK[:2], f64(2, 5, 2, 4)), {}, TypeError, "dtypes float32 and float64 differ"),
    (_OK[:2], {}, ValueError, "expected 3 inputs, got 2"),
    ((*_OK, _OK[0]), {}, ValueError, "expected 3 inputs, got 4"),
    ((*_OK, f32(3, 5)), {"masked": True}, TypeError, "must be bool"),
    ((*_OK, i64(3)), {"lengths": True}, ValueError, r"lengths must be of shape \(2,\), got \(3,\)"),
    ((*_OK, f32(2)), {"lengths": True}, TypeError, "must be int64"),
    (_OK, {"rate": 1.5}, ValueError, r"rate must lie in \[0, 1\]"),
    ((f32(2, 3, 10),), {"heads": 2}, ValueError, r"expected shape \(batch, time, 3 \* 2 \* width\)"),
    ((f32(2, 3, 0),), {"heads": 2}, ValueError, "expected shape"),
]


@pytest.mark.parametrize(("inputs", "options", "error", "words"), _RULES)
def test_shape_rule_refuses(inputs: Any, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        infer("attention", *inputs, **{**_PLAIN, "scale": 1.0, **options})


def test_the_backward_ops_shape_rule_refuses() -> None:
    good = (*_OK, f32(2, 3, 2, 4), f32(2, 2, 3), f32(2, 3, 2, 4))
    options = {**_PLAIN, "scale": 1.0}
    with pytest.raises(ValueError, match="attention_gradient: expected 6 inputs, got 5"):
        infer("attention_gradient", *good[:5], **options)
    with pytest.raises(ValueError, match=r"input 4 must be of shape \(2, 2, 3\), got \(2, 3, 2\)"):
        infer("attention_gradient", *good[:4], f32(2, 3, 2), good[5], **options)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"mask": np.ones((3, 6), bool)}, ValueError, r"shape \(3, 6\) does not broadcast"),
        ({"mask": np.ones((2, 2, 1, 1, 1), bool)}, ValueError, "does not broadcast"),
        ({"mask": np.ones((3, 5))}, TypeError, "mask must be bools, not floats"),
        ({"lengths": np.array([1, 6])}, ValueError, r"attention: length 6 is out of range \[0, 5\]"),
        ({"lengths": np.array([-1, 5])}, ValueError, "length -1 is out of range"),
        ({"lengths": np.array([1.0, 5.0])}, TypeError, "lengths must be integers, not floats"),
        ({"lengths": np.array([1])}, ValueError, r"lengths must be of shape \(2,\)"),
        ({"dropout": -0.1}, ValueError, r"dropout must be in \[0, 1\]"),
        ({"causal": 1}, TypeError, "causal must be True or False"),
        ({"scale": "big"}, TypeError, "scale must be a number"),
        ({"q": normal((2, 3, 8))}, ValueError, r"expected q, k and v of shape \(batch, time, heads, width\)"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    q, k, v = _inputs(2, 3, 5, 2, 4)
    with pytest.raises(error, match=words):
        ops.scaled_dot_product_attention(**{"q": q, "k": k, "v": v, **change})


def test_the_sums_of_the_record_have_a_derivative_too() -> None:
    q, k, v = _inputs(1, 3, 4, 1, 2)

    def sums(q: Any, k: Any) -> Any:
        record = apply("attention", q, k, v, **_PLAIN, scale=0.5)
        return apply("part", record, offset=16, shape=[1, 1, 3])

    np.testing.assert_allclose(sums(q, k), _reference(q, k, v, scale=0.5)[1], rtol=1e-14)
    bp.check_gradients(sums, q, k, order=2)
