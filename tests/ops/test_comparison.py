"""equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or, where."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import BROADCAST_SHAPES, integers, mask, normal
from tests.support.graphs import boolean, f32, f64, i64, infer

COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]

CASES = [
    case
    for a, b in BROADCAST_SHAPES
    for case in [
        # Few different numbers, so that many are equal.
        *(
            Case(getattr(ops, op), getattr(np, op), integers(a, -2, 2), integers(b, -2, 2, key=1), exact=True)
            for op in COMPARISONS
        ),
        *(
            Case(
                getattr(ops, op),
                getattr(np, op),
                np.asarray(np.round(normal(a))),
                np.asarray(np.round(normal(b, key=1))),
                exact=True,
                differentiable=False,
            )
            for op in COMPARISONS
        ),
        Case(ops.equal, np.equal, mask(a), mask(b, key=1), exact=True),
        Case(ops.logical_and, np.logical_and, mask(a), mask(b, key=1), exact=True),
        Case(ops.logical_or, np.logical_or, mask(a), mask(b, key=1), exact=True),
        Case(ops.where, np.where, mask(a), normal(a), normal(b, key=1), exact=True, order=2),
        Case(ops.where, np.where, mask(b), normal(a), normal(a, key=1), exact=True),
        Case(ops.where, np.where, mask(()), normal(a), normal(b, key=1), exact=True),
        Case(ops.where, np.where, mask(a), integers(b, -9, 9), integers(a, -9, 9, key=1), exact=True),
        Case(ops.where, np.where, mask(a), mask(b, key=1), mask(a, key=2), exact=True),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", COMPARISONS)
def test_nan_and_infinities_compare_as_numpys(op: str, dtype: str) -> None:
    special = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(
        getattr(ops, op)(special[:, None], special), getattr(np, op)(special[:, None], special)
    )


def test_no_derivative_flows_through_a_mask() -> None:
    gradient = bp.grad(lambda x: ops.sum(ops.cast(ops.greater(x, 0.0), "float64") * x))(np.array([-1.0, 2.0]))
    np.testing.assert_array_equal(gradient, [0, 1])


def test_where_keeps_values_that_were_not_chosen_out_of_the_result() -> None:
    chosen = ops.where(np.array([True, False]), np.array([1.0, np.nan]), np.array([np.inf, 2.0]))
    np.testing.assert_array_equal(chosen, [1, 2])


@pytest.mark.parametrize("op", [*COMPARISONS, "logical_and", "logical_or"])
def test_shapes_that_do_not_broadcast_are_a_value_error_naming_both(op: str) -> None:
    kind = boolean if op.startswith("logical") else f64
    with pytest.raises(ValueError, match=rf"^{op}: shapes \(2, 3\) and \(4,\) do not broadcast"):
        infer(op, kind(2, 3), kind(4))


def test_where_names_the_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"^where: shapes \(2,\) and \(3,\)"):
        infer("where", boolean(2), f64(3), f64(3))
    with pytest.raises(ValueError, match=r"^where: shapes \(3,\) and \(4,\)"):
        infer("where", boolean(3), f64(3), f64(4))


@pytest.mark.parametrize("op", COMPARISONS)
def test_mixed_dtypes_are_a_type_error_naming_both(op: str) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: dtypes float32 and int64 differ"):
        infer(op, f32(3), i64(3))


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        ("logical_and", [boolean(2), f64(2)], "input 1 must be bool, not float64"),
        ("logical_or", [i64(2), boolean(2)], "input 0 must be bool, not int64"),
        ("where", [f64(2), f64(2), f64(2)], "input 0 must be bool, not float64"),
        ("where", [boolean(2), f64(2), f32(2)], "dtypes float64 and float32 differ"),
    ],
)
def test_wrong_dtype_is_a_type_error_that_names_the_op(op: str, types: list, message: str) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: {message}"):
        infer(op, *types)
