"""The ops of batch normalisation in training, against NumPy and against the plain ops that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support.check_op import Case
from tests.support.draw import normal, positive
from tests.support.graphs import Graph, f32, f64, i64, infer
from tests.support.references import normalized, normalized_grad

BLOCK = 128  # rows that are summed together
SHAPES = [(2, 1), (3, 5), (4, 17), (2, 3, 4), (127, 3), (128, 16), (129, 2), (2, 5, 30, 7), (700, 33)]
EPS = 1e-3


def _rows(x: Any) -> Any:
    return x.reshape(-1, x.shape[-1])


def _blocks(x: Any) -> list[Any]:
    rows = _rows(x)
    return [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]


def block_moments(x: Any) -> Any:
    rows = _rows(x)
    shifted = _blocks(x - np.median(rows[[0, len(rows) // 2, -1]], axis=0))
    return np.stack([[b.mean(0), ((b - b.mean(0)) ** 2).sum(0)] for b in shifted])


def moments(x: Any, _: Any = None) -> Any:
    rows = _rows(x)
    return np.stack([rows.mean(0), np.zeros(rows.shape[1]), rows.var(0)])  # the second: what rounding took


def batch_norm(x: Any, weight: Any, bias: Any, given: Any, eps: float) -> Any:
    return (x - given[0] - given[1]) / np.sqrt(given[2] + eps) * weight + bias


def block_sums(x: Any, g: Any, given: Any) -> Any:
    centred = x - given[0] - given[1]
    pairs = zip(_blocks(g), _blocks(g * centred), strict=True)
    return np.stack([[a.sum(0), b.sum(0)] for a, b in pairs])


def totals(x: Any, g: Any, given: Any, _: Any = None) -> Any:
    return block_sums(x, g, given).sum(0)


def gradient(x: Any, g: Any, weight: Any, given: Any, sums: Any, eps: float) -> Any:
    count, inverse = x.size // x.shape[-1], 1 / np.sqrt(given[2] + eps)
    centred = x - given[0] - given[1]
    return weight * inverse * (g - sums[0] / count - centred * inverse**2 * sums[1] / count)


def _cases(shape: tuple[int, ...]) -> list[Case]:
    x, g, channels = normal(shape), normal(shape, key=1), shape[-1]
    weight, bias, given = positive((channels,)), normal((channels,)), moments(x)
    # Sums of some hundred numbers of both signs: errors are relative to their magnitudes.
    loose: dict[str, Any] = {"epsilons": 64, "floor": 40.0, "differentiable": False}
    return [
        Case("batch_block_moments", block_moments, x, **loose),
        Case("batch_moments", moments, x, block_moments(x), **loose),
        Case("batch_norm", batch_norm, x, weight, bias, given, eps=EPS, **{**loose, "floor": 4.0}),
        Case("batch_block_sums", block_sums, x, g, given, **loose),
        Case("batch_totals", totals, x, g, given, block_sums(x, g, given), **loose),
        Case(
            "batch_norm_gradient", gradient, x, g, weight, given, totals(x, g, given), eps=EPS,
            **{**loose, "floor": 4.0},
        ),
    ]  # fmt: skip


CASES = [case for shape in SHAPES for case in _cases(shape)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case: Case) -> None:
    case.check()


def _fused(x: Any, weight: Any, bias: Any) -> Any:
    found = apply("batch_moments", x, apply("batch_block_moments", x))
    return apply("batch_norm", x, weight, bias, found, eps=EPS)


def _plain(x: Any, weight: Any, bias: Any) -> Any:
    axes = tuple(range(len(x.shape) - 1))
    difference = x - ops.mean(x, axes, keepdims=True)
    variance = ops.mean(difference * difference, axes, keepdims=True)
    return difference / ops.sqrt(variance + EPS) * weight + bias


@pytest.mark.parametrize("shape", [(2, 1), (3, 5), (2, 3, 4), (131, 2)])
def test_derivatives_of_both_orders(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), positive(shape[-1:]), normal(shape[-1:])
    expected = normalized(x, tuple(range(len(shape) - 1)), EPS) * weight + bias
    np.testing.assert_allclose(_fused(x, weight, bias), expected, rtol=1e-12, atol=1e-12)
    bp.check_gradients(_fused, x, weight, bias, order=2 if x.size < 50 else 1)


@pytest.mark.parametrize("shape", [(3, 5), (131, 4), (2, 5, 30, 7)])
def test_derivatives_of_both_orders_are_those_of_plain_ops(shape: tuple[int, ...]) -> None:
    x, weight, bias = normal(shape), positive(shape[-1:]), normal(shape[-1:])
    seed, direction = normal(shape, key=2), normal(shape, key=3)

    def slope(function: Any, number: int) -> Any:
        def along(*args: Any) -> Any:
            first = bp.grad(lambda v: ops.sum(function(v, *args[1:]) * seed))(args[0])
            return ops.sum(first * direction)

        return bp.grad(along, number)(x, weight, bias)

    for number in range(2):  # the bias has none
        np.testing.assert_allclose(slope(_fused, number), slope(_plain, number), rtol=1e-9, atol=1e-9)
    first = bp.grad(lambda v: ops.sum(_fused(v, weight, bias) * seed))(x)
    expected = normalized_grad(x, tuple(range(len(shape) - 1)), EPS, seed * weight)
    np.testing.assert_allclose(first, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6, -3e7])
def test_large_values_that_are_close_keep_their_digits(offset: float) -> None:
    x = (offset + 4 * np.arange(1000.0)[::-1].reshape(500, 2)).astype("float32")
    found = apply("batch_moments", x, apply("batch_block_moments", x))
    np.testing.assert_allclose(found[2], x.astype("float64").var(0), rtol=1e-6)
    y = _fused(x, np.ones(2, "float32"), np.zeros(2, "float32"))
    np.testing.assert_allclose(y, normalized(x.astype("float64"), (0,), EPS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", [0, 499])
def test_an_outlier_takes_no_digits_from_the_others(place: int) -> None:
    x = normal((500, 2)).astype("float32")
    x[place] = 3e4
    y = _fused(x, np.ones(2, "float32"), np.zeros(2, "float32"))
    np.testing.assert_allclose(y, normalized(x.astype("float64"), (0,), EPS), rtol=3e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [3, 32, 100])
def test_the_number_of_threads_changes_no_bit(channels: int, dtype: str) -> None:
    graph, shape = Graph(), (5000, channels)
    x, g, weight = graph.input((shape, dtype)), graph.input((shape, dtype)), graph.input(((channels,), dtype))
    found = graph.add("batch_moments", x, graph.add("batch_block_moments", x))
    y = graph.add("batch_norm", x, weight, weight, found, eps=EPS)
    sums = graph.add("batch_totals", x, g, found, graph.add("batch_block_sums", x, g, found))
    plan = graph.plan(found, y, sums, graph.add("batch_norm_gradient", x, g, weight, found, sums, eps=EPS))
    arrays = [each.astype(dtype) for each in (normal(shape), normal(shape, key=1), positive((channels,)))]
    one = [each.tobytes() for each in plan.run(None, arrays, threads=1)]
    for threads in (2, 3, 8):
        assert [each.tobytes() for each in plan.run(None, arrays, threads=threads)] == one


@pytest.mark.parametrize(
    ("op", "types", "attributes", "error", "message"),
    [
        ("batch_block_moments", [f64(3)], {}, ValueError, r"expected input of shape .*got \(3,\)"),
        ("batch_block_moments", [f64(0, 3)], {}, ValueError, "there are no rows in input of shape"),
        ("batch_block_moments", [i64(2, 3)], {}, TypeError, "input 0 must be float32 or float64"),
        ("batch_moments", [f64(2, 3), f64(2, 2, 3)], {}, ValueError, "input 1 must have shape"),
        (
            "batch_norm", [f64(2, 3), f64(2), f64(3), f64(3, 3)], {"eps": 0.1}, ValueError,
            r"input 1 must have shape \(3,\), not \(2,\)",
        ),
        ("batch_norm", [f64(2, 3), f32(3), f64(3), f64(3, 3)], {"eps": 0.1}, TypeError, "dtypes"),
        ("batch_block_sums", [f64(2, 3), f64(3, 3), f64(3, 3)], {}, ValueError, "input 1 must have shape"),
        ("batch_totals", [f64(2, 3)] * 2 + [f64(3, 3)] * 2, {}, ValueError, "input 3 must have shape"),
        ("batch_norm_gradient", [f64(2, 3)], {"eps": 0.1}, ValueError, "expected 5 inputs, got 1"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_and_name_the_op(
    op: str, types: list, attributes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *types, **attributes)
