"""sin and cos: next to zeros, beyond what vectors reduce, and of what is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import VECTOR_SHAPES, normal
from tests.support.graphs import boolean, f64, i64, infer

CASES = [
    Case(op, reference, scale * normal(shape), epsilons=2, order=2)
    for shape in VECTOR_SHAPES
    for op, reference in [(ops.sin, np.sin), (ops.cos, np.cos)]
    for scale in (1, 30)
]
BOTH = pytest.mark.parametrize(("op", "reference"), [(ops.sin, np.sin), (ops.cos, np.cos)])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def _assert_within_two_ulps(op: Any, reference: Any, x: Any) -> None:
    want = reference(x.astype("longdouble")).astype(x.dtype)
    error = np.abs(op(x) - want) / np.spacing(np.abs(want))
    worst = np.argmax(error)
    assert error[worst] <= 2, f"{op.__name__}({x[worst]!r}) = {op(x)[worst]!r}, should be {want[worst]!r}"


@BOTH
@DTYPES
def test_next_to_multiples_of_half_pi(op: Any, reference: Any, dtype: str) -> None:
    """Where most digits cancel: floats on both sides of them, up to the last that vectors reduce, and on."""
    multiples = (np.arange(1, 800_000, 7) * (np.longdouble(np.pi) / 2)).astype(dtype)
    for x in (multiples, np.nextafter(multiples, np.array(0, dtype)), -multiples):
        _assert_within_two_ulps(op, reference, x)


@BOTH
@DTYPES
def test_where_the_c_library_takes_over(op: Any, reference: Any, dtype: str) -> None:
    end = np.array(2.0**20, dtype)
    x = np.array(
        [end, np.nextafter(end, 0, dtype=dtype), np.nextafter(end, np.inf, dtype=dtype), 2 * end], dtype
    )
    largest = np.array([1e22, np.finfo(dtype).max, 6381956970095103.0 * 2.0**30], dtype)
    _assert_within_two_ulps(op, reference, np.concatenate([x, -x, largest, -largest]))


@BOTH
@DTYPES
def test_a_few_large_ones_change_no_other(op: Any, reference: Any, dtype: str) -> None:
    for size in (1, 5, 16, 17, 1023, 1024, 1025, 3000):
        x = normal((size,)).astype(dtype)
        alone = op(x)
        for at in {0, size // 2, size - 1}:
            mixed = x.copy()
            mixed[at] = 1e7
            alone_there = alone.copy()
            alone_there[at] = op(mixed[at : at + 1])[0]
            np.testing.assert_array_equal(op(mixed), alone_there)
            np.testing.assert_allclose(op(mixed)[at], reference(1e7), rtol=2 * float(np.finfo(dtype).eps))


@BOTH
@DTYPES
def test_infinities_and_nan_give_nan_and_nothing_else_does(op: Any, reference: Any, dtype: str) -> None:
    x = np.array([np.inf, 1, -np.inf, 2, np.nan, 1e30], dtype)
    np.testing.assert_array_equal(np.isnan(op(x)), [True, False, True, False, True, False])
    for size in (16, 1024, 1500):
        np.testing.assert_array_equal(np.isnan(op(np.full(size, np.inf, dtype))), np.ones(size, bool))
    del reference


@DTYPES
def test_subnormals_zeros_and_signs(dtype: str) -> None:
    info = np.finfo(dtype)
    small = np.array([0, info.smallest_subnormal, info.tiny / 4, info.tiny, 1e-20], dtype)
    for x in (small, -small):
        assert ops.sin(x).tobytes() == x.tobytes()
        np.testing.assert_array_equal(ops.cos(x), np.ones(5))
    x = (100 * normal((1001,))).astype(dtype)
    np.testing.assert_array_equal(ops.sin(-x), -ops.sin(x))
    np.testing.assert_array_equal(ops.cos(-x), ops.cos(x))


def test_fourth_derivative_is_the_function_itself() -> None:
    def derivative(function: Any) -> Any:
        return bp.grad(lambda x: ops.sum(function(x)))

    x = normal((33,))
    for op in (ops.sin, ops.cos):
        function = op
        for _ in range(4):
            function = derivative(function)
        np.testing.assert_array_equal(function(x), op(x))


@pytest.mark.parametrize("op", ["sin", "cos"])
def test_wrong_inputs_are_errors_that_name_the_op(op: str) -> None:
    for type_ in (i64(3), boolean(3)):
        with pytest.raises(TypeError, match=rf"^{op}: input 0 must be float32 or float64, not {type_[1]}"):
            infer(op, type_)
    with pytest.raises(ValueError, match=rf"^{op}: expected 1 inputs, got 2"):
        infer(op, f64(3), f64(3))
