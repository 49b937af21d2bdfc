"""relu, sigmoid, tanh, and the ops of their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support import references
from tests.support.check_op import Case
from tests.support.draw import BROADCAST_SHAPES, VECTOR_SHAPES, normal, off_grid
from tests.support.graphs import boolean, f32, f64, i64, infer

CASES = [
    case
    for shape in VECTOR_SHAPES
    for case in [
        Case(ops.relu, references.relu, off_grid(shape), exact=True),
        Case(ops.sigmoid, references.sigmoid, 3 * normal(shape), order=2),
        Case(ops.tanh, np.tanh, normal(shape), order=2),
    ]
] + [
    case
    for g, y in BROADCAST_SHAPES
    for case in [
        Case("relu_gradient", references.relu_gradient, normal(g), off_grid(y), exact=True),
        Case("sigmoid_gradient", references.sigmoid_gradient, normal(g), normal(y, key=1), order=2),
        # 1 - y² cancels near one, so errors are relative to 1 + y².
        Case(
            "tanh_gradient",
            lambda g, y: g * (1 - y * y),
            normal(g),
            np.asarray(np.tanh(normal(y, key=1))),
            floor=1,
            order=2,
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("op", "reference"), [(ops.relu, references.relu), (ops.sigmoid, references.sigmoid), (ops.tanh, np.tanh)]
)
def test_extremes_and_nan(op, reference, dtype: str) -> None:
    x = np.array([-np.inf, -1e4, -200, -30, -0.0, 0.0, 1e-30, 30, 200, 1e4, np.inf, np.nan], dtype)
    tiny = float(np.finfo(dtype).tiny)
    got = op(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, reference(x), rtol=1e-6, atol=tiny)
    assert np.isnan(got[-1])
    assert np.isfinite(got[1:-2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormals_are_not_flushed_by_relu_and_tanh(dtype: str) -> None:
    x = np.array([np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny / 8], dtype)
    np.testing.assert_array_equal(ops.relu(x), x)
    np.testing.assert_array_equal(ops.tanh(x), x)
    np.testing.assert_array_equal(ops.tanh(-x), -x)


def test_sigmoid_and_tanh_stay_within_their_ranges() -> None:
    x = np.linspace(-50, 50, 10001)
    for dtype in ("float32", "float64"):
        y = ops.sigmoid(x.astype(dtype))
        assert (y >= 0).all()
        assert (y <= 1).all()
        assert (np.abs(ops.tanh(x.astype(dtype))) <= 1).all()


def test_derivative_of_relu_at_zero_is_zero() -> None:
    np.testing.assert_array_equal(
        bp.grad(lambda x: ops.sum(ops.relu(x)))(np.array([-0.0, 0.0, 1.0])), [0, 0, 1]
    )


def test_derivatives_far_out_are_zero_and_not_nan() -> None:
    x = np.array([-1e4, 1e4])
    for op in (ops.sigmoid, ops.tanh):
        np.testing.assert_array_equal(bp.grad(lambda v, op=op: ops.sum(op(v)))(x), [0, 0])


@pytest.mark.parametrize("op", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("type_", [i64(3), boolean(3)])
def test_wrong_dtype_is_a_type_error_that_names_the_op(op: str, type_: tuple) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: input 0 must be float32 or float64, not {type_[1]}"):
        infer(op, type_)


@pytest.mark.parametrize("op", ["relu_gradient", "sigmoid_gradient", "tanh_gradient"])
def test_operands_of_a_derivative_must_fit(op: str) -> None:
    with pytest.raises(ValueError, match=rf"^{op}: shapes \(2,\) and \(3,\)"):
        infer(op, f64(2), f64(3))
    with pytest.raises(TypeError, match=rf"^{op}: dtypes float64 and float32 differ"):
        infer(op, f64(2), f32(2))
