"""softmax and log_softmax along any axis."""

from __future__ import annotations

import numpy as np
import pytest

from bpcore import ops
from tests.support import references
from tests.support.check_op import Case, check_op
from tests.support.draw import normal
from tests.support.graphs import f64, i64, infer

# shape, axis
SHAPES = [
    ((1,), 0), ((7,), 0), ((15,), -1), ((16,), 0), ((17,), 0), ((33,), 0), ((100,), 0), ((3, 1), 1),
    ((1, 5), 0), ((4, 7), 1), ((4, 7), 0), ((2, 3, 4), 1), ((2, 17, 3), -2), ((2, 3, 4), -1), ((0, 3), 1),
    ((0, 3), -1), ((3, 0), 0), ((5, 10), 1), ((70, 3), 1), ((3, 64), 1), ((3, 65), 1),
    ((2, 5000), 1), ((1000, 17), 1), ((70, 300), 0),
]  # fmt: skip

CASES = [
    case
    for shape, axis in SHAPES
    for case in [
        Case(ops.softmax, references.softmax, 2 * normal(shape), axis=axis, epsilons=8, order=2),
        Case(
            ops.log_softmax,
            references.log_softmax,
            2 * normal(shape),
            axis=axis,
            epsilons=4,
            floor=1,
            order=2,
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_softmax_sum_to_one_and_do_not_depend_on_the_axis(dtype: str) -> None:
    x = (5 * normal((20, 37))).astype(dtype)
    y = ops.softmax(x, 1)
    np.testing.assert_allclose(y.sum(1), 1, rtol=8 * float(np.finfo(dtype).eps))
    for op in (ops.softmax, ops.log_softmax):
        np.testing.assert_array_equal(op(np.ascontiguousarray(x.T), 0).T, op(x, 1))


EXTREME = [
    [1e4, -1e4, 0.0],
    [1e4, 1e4, 1e4],
    [-1e4, -1e4, -1e4 - 1],
    [1e4, 1e4 - 3, 1e4 - 200],
    [0.0, -np.inf, 1.0],
    [-np.inf, 3.0, -np.inf],
]


@pytest.mark.parametrize("row", EXTREME, ids=str)
def test_extreme_logits_lose_nothing(row: list[float]) -> None:
    x = np.array([row])
    check_op(ops.softmax, references.softmax, x, differentiable=False)
    check_op(ops.log_softmax, references.log_softmax, x, floor=1, epsilons=2, differentiable=False)


def test_log_of_a_vanishing_softmax_is_finite() -> None:
    np.testing.assert_array_equal(ops.log_softmax(np.array([800.0, -800.0])), [0, -1600])


@pytest.mark.parametrize("row", [[np.nan, 0, 1], [np.inf, 0, 1], [-np.inf, -np.inf, -np.inf]], ids=str)
def test_rows_without_a_softmax_are_nan(row: list[float]) -> None:
    x = np.array([row, [0, 0, 0]])
    for op in (ops.softmax, ops.log_softmax):
        assert np.isnan(op(x)[0]).any()
        assert np.isfinite(op(x)[1]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [*range(1, 20), 33, 64, 65, 100])
def test_nan_and_infinity_stay_in_their_row_wherever_they_stand(dtype: str, width: int) -> None:
    for bad in (np.nan, np.inf):
        x = np.zeros((2 * width, width), dtype)
        x[np.arange(0, 2 * width, 2), np.arange(width)] = bad
        for op in (ops.softmax, ops.log_softmax):
            y = op(x)
            assert np.isnan(y[::2]).any(1).all()
            assert np.isfinite(y[1::2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_below_the_smallest_normal_number_becomes_zero(dtype: str) -> None:
    far = np.log(float(np.finfo(dtype).tiny)) - 1
    y = ops.softmax(np.array([[0, far, 2 * far, -np.inf]] * 3, dtype))
    np.testing.assert_array_equal(y, [[1, 0, 0, 0]] * 3)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_wrong_arguments_raise_and_name_the_op(op: str) -> None:
    with pytest.raises(ValueError, match=f"^{op}: axis 2 is out of range for 2 axes"):
        infer(op, f64(2, 3), axis=2)
    with pytest.raises(ValueError, match=f"^{op}: axis 0 is out of range for 0 axes"):
        infer(op, f64(), axis=0)
    with pytest.raises(ValueError, match=rf"^{op}: axis 1 of shape \(2, 0\) is empty"):
        infer(op, f64(2, 0), axis=1)
    with pytest.raises(TypeError, match=f"^{op}: input 0 must be float32 or float64, not int64"):
        infer(op, i64(2, 3), axis=1)
    for axis in (1.0, True, "1", None):
        with pytest.raises(TypeError, match=f"^{op}: axis must be an integer, got {axis!r}"):
            getattr(ops, op)(np.ones((2, 3)), axis=axis)
    np.testing.assert_array_equal(getattr(ops, op)(np.eye(2), np.int64(0)), getattr(ops, op)(np.eye(2), 0))
