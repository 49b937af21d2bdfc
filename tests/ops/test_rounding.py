"""floor, ceil, round, clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import BROADCAST_SHAPES, VECTOR_SHAPES, integers, normal, off_grid
from tests.support.graphs import boolean, f64, infer

ROUNDING = [(ops.floor, np.floor), (ops.ceil, np.ceil), (ops.round, np.round)]


def _clip(x: Any, min: Any = None, max: Any = None) -> Any:
    return np.clip(x, min, max)


CASES = [
    Case(op, reference, x, exact=True)
    for shape in VECTOR_SHAPES
    for op, reference in ROUNDING
    for x in (off_grid(shape), 1e3 * off_grid(shape) + 0.125, integers(shape, -9, 9))
] + [
    Case(ops.clip, _clip, x, exact=True, composed=True, **bounds)
    for shape in VECTOR_SHAPES
    for x in (off_grid(shape), integers(shape, -9, 9))
    for bounds in ({"min": -1, "max": 1}, {"min": 0}, {"max": 0}, {"min": 1, "max": 1})
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_of_special_values_as_numpy(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array(
        [0.0, 0.5, 1.5, 2.5, 1 - float(info.epsneg), 0.5 - float(info.epsneg) / 2, 1e6 + 0.5,
         1 / float(info.eps), info.tiny, info.smallest_subnormal, info.max, np.inf],
        dtype,
    )  # fmt: skip
    x = np.concatenate([x, -x, np.array([np.nan], dtype)])
    for op, reference in ROUNDING:
        assert op(x).tobytes() == reference(x).tobytes(), op.__name__  # signs of zeros, too


def test_rounding_has_the_derivative_zero_at_steps_too() -> None:
    x = np.array([-1.5, -1, 0, 0.5, 1, 2.5])
    for op, _ in ROUNDING:
        np.testing.assert_array_equal(bp.grad(lambda v, op=op: ops.sum(v + op(v)))(x), np.ones(6))


@pytest.mark.parametrize("op", ["floor", "ceil", "round"])
def test_wrong_inputs_are_errors_that_name_the_op(op: str) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: input 0 must be a number, not bool"):
        infer(op, boolean(3))
    with pytest.raises(ValueError, match=rf"^{op}: expected 1 inputs, got 2"):
        infer(op, f64(3), f64(3))


@pytest.mark.parametrize("shapes", BROADCAST_SHAPES, ids=str)
def test_clip_by_arrays_broadcasts_as_numpys(shapes: Any) -> None:
    x, low = off_grid(shapes[0]), off_grid(shapes[1], key=1)
    np.testing.assert_array_equal(ops.clip(x, low, low + 0.5), np.clip(x, low, low + 0.5))
    np.testing.assert_array_equal(ops.clip(x, min=low), np.maximum(x, low))
    np.testing.assert_array_equal(ops.clip(x, max=low), np.minimum(x, low))


def test_derivatives_of_clip_go_to_what_was_chosen() -> None:
    """By hand at the bounds, where x counts; elsewhere by differences."""
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    slope = bp.grad(lambda v: ops.sum(ops.clip(v, -1, 1)))(x)
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 0])
    low, high = bp.grad(lambda a, b: ops.sum(ops.clip(x, a, b)), argnums=(0, 1))(
        np.array(-1.0), np.array(1.0)
    )
    np.testing.assert_array_equal([low, high], [1, 1])
    bp.check_gradients(
        lambda v, a, b: ops.clip(v, a, b),
        off_grid((5, 4)),
        off_grid((4,), key=1) - 1,
        off_grid((5, 1), key=2) + 1,
    )
    squares = bp.grad(lambda v: ops.sum(bp.grad(lambda u: ops.sum(ops.clip(u, -1, 1) ** 3))(v)))(x)
    np.testing.assert_array_equal(squares, [0, -6, 0, 6, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_of_special_values(dtype: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    got = ops.clip(x, -1.5, 1.5)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [np.nan, 1.5, -1.5, 0, 0])
    np.testing.assert_array_equal(ops.clip(x, -np.inf, np.inf), x)
    tenth = np.array([0.1], dtype)  # a bound is rounded as the elements are
    np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(ops.clip(v, 0.1)))(tenth), [1])


def test_clip_refuses_bounds_that_make_no_sense() -> None:
    x = normal((3,))
    with pytest.raises(ValueError, match="^clip: expected min, max or both"):
        ops.clip(x)
    with pytest.raises(ValueError, match="^clip: min must be at most max, got 2 and 1.5"):
        ops.clip(x, 2, 1.5)
