"""add, subtract, multiply, divide, power, maximum, minimum, square."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import BROADCAST_SHAPES, integers, normal, off_grid, positive
from tests.support.graphs import boolean, f32, f64, i64, infer

CASES = [
    case
    for a, b in BROADCAST_SHAPES
    for case in [
        Case(ops.add, np.add, normal(a), normal(b, key=1), exact=True, order=2),
        Case(ops.subtract, np.subtract, normal(a), normal(b, key=1), exact=True, order=2),
        Case(ops.multiply, np.multiply, normal(a), normal(b, key=1), exact=True, order=2),
        Case(ops.divide, np.divide, normal(a), positive(b, key=1), exact=True, order=2),
        Case(ops.power, np.power, positive(a), normal(b, key=1), epsilons=2, order=2),
        Case(ops.maximum, np.maximum, off_grid(a), off_grid(b, key=1), exact=True),
        Case(ops.minimum, np.minimum, off_grid(a), off_grid(b, key=1), exact=True),
        *(
            Case(op, reference, integers(a, -99, 99), integers(b, -99, 99, key=1), exact=True)
            for op, reference in [
                (ops.add, np.add),
                (ops.subtract, np.subtract),
                (ops.multiply, np.multiply),
                (ops.maximum, np.maximum),
                (ops.minimum, np.minimum),
            ]
        ),
    ]
]

BINARY = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("exponent", [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2, 2.0, 3.0, 2.5])
def test_power_with_a_constant_exponent(exponent: float) -> None:
    x = positive((33,))
    np.testing.assert_allclose(ops.power(x, exponent), x**exponent, rtol=1e-15)
    bp.check_gradients(lambda v: ops.power(v, exponent), x, order=2)


def test_square_of_floats_and_integers() -> None:
    np.testing.assert_array_equal(ops.square(normal((17,))), normal((17,)) ** 2)
    np.testing.assert_array_equal(ops.square(integers((17,), -9, 9)), integers((17,), -9, 9) ** 2)
    bp.check_gradients(ops.square, normal((5,)), order=2)


def test_power_of_zero_has_finite_derivatives() -> None:
    """PyTorch's choices: d(a^0)/da = 0 and d(0^b)/db = 0."""
    base = np.array([0.0, 0.0, 2.0])
    exponent = np.array([0.0, 2.0, 0.0])
    by_base, by_exponent = bp.grad(lambda a, b: ops.sum(ops.power(a, b)), argnums=(0, 1))(base, exponent)
    np.testing.assert_array_equal(by_base, [0, 0, 0])
    np.testing.assert_allclose(by_exponent, [0, 0, np.log(2)])


def test_power_of_a_negative_base_with_a_whole_exponent() -> None:
    np.testing.assert_array_equal(ops.power(np.array([-2.0]), np.array([3.0])), [-8.0])
    np.testing.assert_array_equal(bp.grad(lambda a: ops.sum(ops.power(a, 3.0)))(np.array([-2.0])), [12.0])
    assert np.isnan(ops.power(np.array([-2.0]), np.array([0.5]))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", BINARY)
def test_special_values_as_numpy(op: str, dtype: str) -> None:
    special = np.array(
        [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny / 4], dtype
    )
    a, b = special[:, None], special
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(getattr(ops, op)(a, b), getattr(np, op)(a, b))


def test_integers_wrap_around_as_numpys() -> None:
    largest = np.array([np.iinfo(np.int64).max])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ops.add(largest, 1), largest + 1)
        np.testing.assert_array_equal(ops.multiply(largest, 3), largest * 3)
        np.testing.assert_array_equal(ops.subtract(-largest, 2), -largest - 2)


@pytest.mark.parametrize("op", [ops.maximum, ops.minimum])
def test_equal_operands_share_the_derivative(op) -> None:
    by_a, by_b = bp.grad(lambda a, b: ops.sum(op(a, b)), argnums=(0, 1))(np.ones(3), np.ones(3))
    np.testing.assert_array_equal(by_a, [0.5] * 3)
    np.testing.assert_array_equal(by_b, [0.5] * 3)


@pytest.mark.parametrize("op", BINARY)
def test_shapes_that_do_not_broadcast_are_a_value_error_naming_both(op: str) -> None:
    with pytest.raises(ValueError, match=rf"^{op}: shapes \(2, 3\) and \(4,\) do not broadcast"):
        infer(op, f64(2, 3), f64(4))
    with pytest.raises(ValueError, match=rf"^{op}: shapes \(0,\) and \(3,\) do not broadcast"):
        infer(op, f64(0), f64(3))


@pytest.mark.parametrize("op", BINARY)
def test_mixed_dtypes_are_a_type_error_naming_both(op: str) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: dtypes float32 and float64 differ"):
        infer(op, f32(3), f64(3))
    with pytest.raises(TypeError, match=rf"^{op}: dtypes float32 and int64 differ"):
        infer(op, f32(3), i64(3))


@pytest.mark.parametrize(
    ("op", "type_"), [(op, boolean(3)) for op in BINARY] + [("divide", i64(3)), ("power", i64(3))]
)
def test_wrong_dtype_is_a_type_error_that_names_the_op(op: str, type_: tuple) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: input 0 must be .*{type_[1]}"):
        infer(op, type_, type_)


@pytest.mark.parametrize("op", BINARY)
def test_wrong_number_of_inputs_is_a_value_error(op: str) -> None:
    with pytest.raises(ValueError, match=rf"^{op}: expected 2 inputs, got 1"):
        infer(op, f64(3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integers_too_large_to_be_exact_are_a_value_error(dtype: str) -> None:
    x = np.ones(2, dtype)
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    for value in (exact, -(2**63)):
        np.testing.assert_array_equal(
            ops.maximum(np.array([value, value]), x), np.maximum(x.dtype.type(value), x)
        )
    for value in (exact + 1, 2**63 - 1, -(2**63) + 1):
        with pytest.raises(
            ValueError, match=f"^add: an integer of the array is too large to be exact in {dtype}"
        ):
            ops.add(x, np.array([value, 0]))
