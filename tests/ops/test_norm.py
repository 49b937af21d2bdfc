"""layer_norm, rms_norm and gelu of the core: values, derivatives, bits, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore._native import core
from tests.support.check_op import Case
from tests.support.draw import normal
from tests.support.graphs import f32, f64, i64, infer


def _layer_norm(x: Any, weight: Any = 1.0, bias: Any = 0.0, axes: int = 1, eps: float = 1e-5) -> Any:
    over = tuple(range(-axes, 0))
    difference = x - x.mean(over, keepdims=True)
    return difference / np.sqrt((difference**2).mean(over, keepdims=True) + eps) * weight + bias


def _rms_norm(x: Any, weight: Any = 1.0, axes: int = 1, eps: float = 1e-5) -> Any:
    return x / np.sqrt((x**2).mean(tuple(range(-axes, 0)), keepdims=True) + eps) * weight


def _rows_per_part(count: int) -> int:
    return max(1, 16384 // count)


def _record(*pieces: Any) -> Any:
    return np.concatenate([np.append(x, np.zeros(-x.size % 16, x.dtype)) for x in pieces])


def _gradients(centred: bool) -> Any:
    """The record of a backward op: by x; of each part of the rows by weight; by bias."""

    def record(
        x: Any, seed: Any, weight: Any = None, axes: int = 1, eps: float = 1e-5, bias: bool = False
    ) -> Any:
        count = int(np.prod(x.shape[-axes:]))
        rows, g = x.reshape(-1, count), seed.reshape(-1, count)
        difference = rows - rows.mean(1, keepdims=True) if centred else rows
        factor = 1 / np.sqrt((difference**2).mean(1, keepdims=True) + eps)
        y = difference * factor
        h = g if weight is None else g * weight.reshape(-1)
        dx = h - y * (h * y).mean(1, keepdims=True)
        if centred:
            dx -= h.mean(1, keepdims=True)
        pieces = [(dx * factor).ravel()]
        begins = np.arange(0, max(len(rows), 1), _rows_per_part(count))
        summed = [] if weight is None else [g * y, g] if bias else [g * y]
        part = _rows_per_part(count)
        pieces += [np.array([terms[b : b + part].sum(0) for b in begins]).ravel() for terms in summed]
        return _record(*pieces)

    return record


def _phi(x: Any) -> Any:
    return np.vectorize(lambda each: 0.5 * math.erfc(-each * math.sqrt(0.5)), otypes=[np.float64])(x)


# shape, axes; around the widths of vectors, of the sums' blocks, and of several tasks
SHAPES = [
    ((3, 1), 1), ((4, 2), 1), ((2, 3, 7), 1), ((5, 16), 1), ((3, 17), 1), ((4, 63), 1), ((3, 65), 1),
    ((2, 130), 1), ((2, 3, 4), 2), ((7,), 1), ((1, 5000), 1), ((0, 5), 1), ((300, 128), 1),
]  # fmt: skip
_CLOSE = {"epsilons": 64.0, "floor": 1.0, "order": 2}

CASES = [
    case
    for shape, axes in SHAPES
    for x, weight, bias in [(normal(shape), normal(shape[-axes:], key=1), normal(shape[-axes:], key=2))]
    for case in [
        Case(ops.layer_norm, _layer_norm, x, weight, bias, axes=axes, eps=0.1, **_CLOSE),
        Case(ops.layer_norm, _layer_norm, x, weight, axes=axes, eps=0.1, **_CLOSE),
        Case(ops.layer_norm, _layer_norm, x, axes=axes, eps=0.1, **_CLOSE),
        Case(ops.rms_norm, _rms_norm, x, weight, axes=axes, eps=0.1, **_CLOSE),
        Case(ops.rms_norm, _rms_norm, x, axes=axes, eps=0.1, **_CLOSE),
    ]
] + [
    Case(f"{name}_gradient", _gradients(name == "layer_norm"), *inputs, axes=axes, eps=0.1, bias=bias,
         epsilons=512, floor=1)
    for name in ("layer_norm", "rms_norm")
    for shape, axes in [((4, 7), 1), ((2, 3, 4), 2), ((300, 130), 1)]
    for x, seed, weight in [(normal(shape), normal(shape, key=1), normal(shape[-axes:], key=2))]
    for inputs, bias in [((x, seed), False), ((x, seed, weight), False), ((x, seed, weight), True)]
] + [
    case
    for shape in [(), (7,), (33,), (0,), (5, 3300)]
    for case in [
        Case("gelu", lambda x: x * _phi(x), 3 * normal(shape), epsilons=8, floor=1, order=2),
        Case(
            "gelu_gradient",
            lambda g, x: g * (_phi(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
            normal(shape, key=1),
            3 * normal(shape),
            epsilons=16,
            floor=1,
            order=2,
        ),
    ]
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_digits_of_values_close_to_each_other_are_not_lost(dtype: str) -> None:
    steps = np.arange(100) % 7
    x = (1e6 + steps).astype(dtype)
    np.testing.assert_allclose(
        ops.layer_norm(x[None]),
        _layer_norm(steps[None].astype(float)),
        rtol=2e-5 if dtype == "float32" else 1e-12,
    )


@pytest.mark.parametrize("place", [0, 767])
def test_an_outlier_takes_no_digits_from_the_others(place: int) -> None:
    x = normal((1, 768)).astype("float32")
    x[0, place] = 3e3
    np.testing.assert_allclose(ops.layer_norm(x), _layer_norm(x.astype("float64")), rtol=3e-6, atol=1e-8)


@pytest.mark.parametrize("count", [1, 5, 300])
@pytest.mark.parametrize("value", [1.0, 1e7 + 1, 3e38, -1e-38])
def test_equal_values_are_normalised_to_almost_nothing(value: float, count: int) -> None:
    assert np.abs(ops.layer_norm(np.full((2, count), value, "float32"))).max() < 1e-3


@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_changes_no_bit(op: str, dtype: str) -> None:
    shape = (3, 400, 96)
    graph = core.Graph()
    inputs = [graph.input(shape, dtype), graph.input((96,), dtype)]
    if op == "layer_norm":
        inputs.append(graph.input((96,), dtype))
    y = graph.add(op, inputs, {"axes": 1, "eps": 1e-5})
    found = graph.gradients(y, inputs, graph.input(shape, dtype))
    plan = core.Plan(graph, [y, *found])
    arrays = [
        normal(shape).astype(dtype),
        *(normal((96,), key=i).astype(dtype) for i in range(1, len(inputs))),
    ]
    arrays.append(normal(shape, key=9).astype(dtype))
    one = plan.run(None, arrays, threads=1)
    assert plan.threads(8) >= 2
    for threads in (2, 3, 8):
        for a, b in zip(one, plan.run(None, arrays, threads=threads), strict=True):
            assert a.tobytes() == b.tobytes(), threads


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    x, op = normal((300, 70)), getattr(ops, name)
    np.testing.assert_array_equal(op(x)[123], op(x[123]))


@pytest.mark.parametrize("shape", [(2, 9000), (1000, 40)])
def test_gradients_of_long_rows_and_of_many(shape: tuple[int, ...]) -> None:
    x, weight, seed = normal(shape), normal(shape[-1:], key=1), normal(shape, key=2)
    found = bp.grad(lambda w: ops.sum(ops.layer_norm(x, w, w) * seed))(weight)
    want = (seed * _layer_norm(x)).sum(0) + seed.sum(0)
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("op", "inputs", "options", "error", "words"),
    [
        ("layer_norm", [i64(2, 3)], {}, TypeError, "layer_norm: input 0 must be float32 or float64"),
        ("layer_norm", [f32(2, 3), f64(3)], {}, TypeError, "dtypes float32 and float64 differ"),
        ("layer_norm", [f32(2, 3), f32(2)], {}, ValueError, r"input 1 must be of shape \(3,\), got \(2,\)"),
        ("layer_norm", [f32(2, 3), f32(3), f32(1, 3)], {}, ValueError, r"input 2 must be of shape \(3,\)"),
        ("layer_norm", [f32(2, 3)], {"axes": 0}, ValueError, "axes must be from 1"),
        ("layer_norm", [f32(2, 3)], {"axes": 3}, ValueError, "axes must be from 1"),
        ("rms_norm", [f32(2, 0)], {}, ValueError, "are empty"),
        ("rms_norm", [f32(2, 3)], {"eps": -1.0}, ValueError, "eps must be at least 0"),
        ("rms_norm_gradient", [f32(2, 3), f32(3, 2)], {"bias": False}, ValueError, "seed of shape"),
        ("gelu", [i64(3)], {}, TypeError, "gelu"),
        ("gelu_gradient", [f32(3), f32(4)], {}, ValueError, "gelu_gradient: seed of shape"),
    ],
)
def test_shape_rules_refuse(
    op: str, inputs: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    given = {} if op.startswith("gelu") else {"axes": 1, "eps": 1e-5, **options}
    with pytest.raises(error, match=words):
        infer(op, *inputs, **given)


def test_bad_arguments() -> None:
    x = normal((2, 3))
    with pytest.raises(ValueError, match="layer_norm: a bias needs a weight"):
        ops.layer_norm(x, None, x[0])
    with pytest.raises(ValueError, match="eps must be"):
        ops.layer_norm(x, eps=float("nan"))
    with pytest.raises(ValueError, match="rms_norm: axes must be at least 1"):
        ops.rms_norm(x, axes=0)
