"""exp, log and the other ops of one operand, but for sin and cos, rounding and activations."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support import references
from tests.support.check_op import Case
from tests.support.draw import VECTOR_SHAPES, integers, mask, normal, off_grid, positive
from tests.support.graphs import boolean, f32, f64, i64, infer

CASES = [
    case
    for shape in VECTOR_SHAPES
    for case in [
        Case(ops.exp, np.exp, normal(shape), epsilons=4, order=2),
        Case(ops.expm1, np.expm1, normal(shape), epsilons=4, order=2),
        Case(ops.log, np.log, positive(shape), epsilons=4, order=2),
        Case(ops.log1p, np.log1p, positive(shape) - 1, epsilons=4, order=2),
        Case(ops.softplus, references.softplus, 3 * normal(shape), epsilons=4, order=2),
        Case(ops.erf, references.erf, normal(shape), epsilons=4, order=2),
        Case(ops.sqrt, np.sqrt, positive(shape), exact=True, order=2),
        Case(ops.abs, np.abs, off_grid(shape), exact=True),
        Case(ops.neg, np.negative, normal(shape), exact=True, order=2),
        Case(ops.sign, np.sign, off_grid(shape), exact=True),
        Case(ops.abs, np.abs, integers(shape, -9, 9), exact=True),
        Case(ops.neg, np.negative, integers(shape, -9, 9), exact=True),
        Case(ops.sign, np.sign, integers(shape, -9, 9), exact=True),
        Case(ops.logical_not, np.logical_not, mask(shape), exact=True),
        *(
            Case(ops.cast, lambda x, dtype: x.astype(dtype), x, dtype=dtype, exact=True, differentiable=False)
            for x, dtypes in [
                (3 * normal(shape), ("float32", "int64", "bool")),
                (integers(shape, -9, 9), ("float32", "float64", "bool")),
                (mask(shape), ("float32", "float64", "int64")),
            ]
            for dtype in dtypes
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def test_derivative_of_cast_is_cast_back() -> None:
    weights = normal((5,), key=1)
    gradient = bp.grad(lambda x: ops.sum(ops.cast(x, "float32") * weights.astype("float32")))(normal((5,)))
    assert gradient.dtype == "float64"
    np.testing.assert_array_equal(gradient, weights.astype("float32"))


def test_no_derivative_flows_through_a_cast_to_integers() -> None:
    gradient = bp.grad(lambda x: ops.sum(ops.cast(ops.cast(x, "int64"), "float64")))(normal((4,)))
    np.testing.assert_array_equal(gradient, np.zeros(4))


SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 1e30]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("op", "reference"),
    [
        (ops.exp, np.exp),
        (ops.expm1, np.expm1),
        (ops.log, np.log),
        (ops.log1p, np.log1p),
        (ops.softplus, references.softplus),
        (ops.erf, references.erf),
        (ops.sqrt, np.sqrt),
        (ops.abs, np.abs),
        (ops.neg, np.negative),
        (ops.sign, np.sign),
    ],
)
def test_special_values_as_numpy(op, reference, dtype: str) -> None:
    x = np.array(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(op(x), reference(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_from_underflow_to_overflow(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.linspace(np.log(float(info.tiny)) - 40, np.log(float(info.max)) + 10, 1001).astype(dtype)
    with np.errstate(all="ignore"):
        want = np.exp(x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_allclose(
        ops.exp(x), want, rtol=4 * float(info.eps), atol=4 * float(info.smallest_subnormal)
    )
    assert ops.exp(np.array(-200 if dtype == "float32" else -800, dtype)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_sqrt_and_abs_of_subnormals(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, info.tiny / 1000, info.tiny / 2, info.tiny], dtype)
    np.testing.assert_allclose(ops.log(x), np.log(x), rtol=4 * float(info.eps))
    np.testing.assert_array_equal(ops.sqrt(x), np.sqrt(x))
    np.testing.assert_array_equal(ops.abs(-x), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expm1_and_log1p_keep_subnormals_and_their_derivatives_there(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, info.tiny / 8, info.tiny, 1e-20], dtype)
    x = np.concatenate([x, -x])
    for op in (ops.expm1, ops.log1p):
        np.testing.assert_array_equal(op(x), x)
        np.testing.assert_array_equal(bp.grad(lambda v, op=op: ops.sum(op(v)))(x), np.ones(8))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expm1_from_minus_one_to_infinity(dtype: str) -> None:
    top = np.log(float(np.finfo(dtype).max))
    x = np.array([-np.inf, -1e4, -50, top - 0.5, top - 0.01, top + 0.01, 1e4, np.inf], dtype)
    with np.errstate(over="ignore"):
        want = np.expm1(x.astype(np.longdouble)).astype(dtype)
    np.testing.assert_allclose(ops.expm1(x), want, rtol=2 * float(np.finfo(dtype).eps))
    # exp, and not the value + 1, which is 0 there
    slope = bp.grad(lambda v: ops.sum(ops.expm1(v)))(np.array([-50.0, -700.0]))
    np.testing.assert_allclose(slope, np.exp([-50.0, -700.0]), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log1p_at_the_ends_of_its_domain(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([-1 + float(info.epsneg), -1, np.nextafter(np.array(-1, dtype), -2), -np.inf], dtype)
    np.testing.assert_allclose(
        ops.log1p(x), [np.log(float(info.epsneg)), -np.inf, np.nan, np.nan], rtol=float(info.eps)
    )
    assert ops.log1p(np.array(info.max)) == np.log(info.max)
    assert ops.log1p(np.array(np.inf, dtype)) == np.inf
    slope = bp.grad(lambda v: ops.sum(ops.log1p(v)))(np.array([-1 + float(info.epsneg), 1e30], dtype))
    np.testing.assert_allclose(slope, [1 / float(info.epsneg), 1e-30], rtol=2 * float(info.eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_and_its_derivative_far_out(dtype: str) -> None:
    x = np.array([-np.inf, -1e4, -30, 30, 1e4, np.inf], dtype)
    rtol, tail = 2 * float(np.finfo(dtype).eps), np.log1p(np.exp(-30))
    np.testing.assert_allclose(ops.softplus(x), [0, 0, tail, 30 + tail, 1e4, np.inf], rtol=rtol, atol=1e-40)
    slope = bp.grad(lambda v: ops.sum(ops.softplus(v)))(x)
    want = [0, 0, 1 / (1 + np.exp(30)), 1 / (1 + np.exp(-30)), 1, 1]
    np.testing.assert_allclose(slope, want, rtol=rtol, atol=1e-40)


def test_erf_ends_at_one_and_its_derivatives_at_zero() -> None:
    x = np.array([-np.inf, -1e4, -30, 30, 1e4, np.inf])
    np.testing.assert_array_equal(ops.erf(x), np.sign(x))
    np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(ops.erf(v)))(x), np.zeros(6))


def test_least_integer_is_its_own_negative() -> None:
    least = np.array([np.iinfo(np.int64).min])
    np.testing.assert_array_equal(ops.neg(least), least)
    np.testing.assert_array_equal(ops.abs(least), least)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_that_int64_cannot_hold_become_the_least_integer(dtype: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype)
    np.testing.assert_array_equal(ops.cast(x, "int64"), np.full(5, np.iinfo(np.int64).min))


def test_derivatives_at_kinks_are_zero() -> None:
    zeros = np.zeros(3)
    for op in (ops.abs, ops.sign):
        np.testing.assert_array_equal(bp.grad(lambda x, op=op: ops.sum(op(x)))(zeros), zeros)


@pytest.mark.parametrize(
    ("op", "types"),
    [
        ("exp", [i64(3)]),
        ("expm1", [i64(3)]),
        ("log", [boolean(3)]),
        ("log1p", [i64(3)]),
        ("softplus", [boolean(3)]),
        ("erf", [i64(3)]),
        ("sqrt", [i64(3)]),
        ("abs", [boolean(3)]),
        ("neg", [boolean(3)]),
        ("sign", [boolean(3)]),
        ("logical_not", [f32(3)]),
    ],
)
def test_wrong_dtype_is_a_type_error_that_names_the_op(op: str, types: list) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: input 0 must be .*{types[0][1]}"):
        infer(op, *types)


@pytest.mark.parametrize(
    "op",
    [
        "exp", "expm1", "log", "log1p", "softplus", "erf", "sqrt",
        "abs", "neg", "sign", "logical_not", "cast",
    ],
)  # fmt: skip
def test_wrong_number_of_inputs_is_a_value_error(op: str) -> None:
    with pytest.raises(ValueError, match=rf"^{op}: expected 1 inputs, got 2"):
        infer(op, f64(3), f64(3), dtype="bool")


def test_cast_to_an_unknown_dtype_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="float16"):
        infer("cast", f64(3), dtype="float16")
