"""The check that every op goes through can fail: for values, dtypes, shapes, derivatives and claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case, check_op
from tests.support.draw import integers, normal

X = normal((3, 4))


def exp(x: Any) -> Any:
    """`ops.exp`, with half of its derivative."""
    return ops.exp(0.5 * x + 0.5 * ops.stop_gradient(x))


def test_a_wrong_reference_fails() -> None:
    check_op(ops.exp, np.exp, X)
    for wrong in (np.exp2, lambda x: np.exp(x) * (1 + 1e-14), lambda x: np.exp(x) * np.nan):
        with pytest.raises(AssertionError):
            check_op(ops.exp, wrong, X, differentiable=False)


def test_one_wrong_element_fails() -> None:
    def wrong(x: Any) -> Any:
        y = np.tanh(x)
        y[2, 3] *= 1 + 1e-5  # of float32's rounding errors, too
        return y

    with pytest.raises(AssertionError, match="1 of 12 elements are off in float64"):
        check_op(ops.tanh, wrong, X)


def test_float32_is_checked_by_itself() -> None:
    def doubles(x: Any) -> Any:
        return ops.tanh(x) if x.dtype == np.float64 else ops.tanh(x) * np.float32(1 + 1e-5)

    doubles.__name__ = "tanh"
    with pytest.raises(AssertionError, match="elements are off in float32"):
        check_op(doubles, np.tanh, X, differentiable=False)


def test_an_infinity_or_nan_in_the_wrong_place_fails() -> None:
    points = np.array([0.0, 1.0, -1.0])
    check_op(ops.log, np.log, points, differentiable=False)
    with pytest.raises(AssertionError):
        check_op(ops.log, lambda x: np.log(np.abs(x)), points, differentiable=False)
    with pytest.raises(AssertionError):
        check_op(ops.log, lambda x: np.where(x == 0, np.inf, np.log(x)), points, differentiable=False)


def test_another_shape_fails() -> None:
    for exact in (False, True):
        with pytest.raises(AssertionError):
            check_op(ops.neg, lambda x: -x[None], X, exact=exact)


def test_another_dtype_fails() -> None:
    def widened(x: Any) -> Any:
        return ops.neg(x).astype(np.float64)

    widened.__name__ = "neg"
    for exact in (False, True):
        with pytest.raises(AssertionError):
            check_op(widened, np.negative, X, exact=exact, differentiable=False)


def test_exact_means_every_bit() -> None:
    with pytest.raises(AssertionError):
        check_op(ops.neg, lambda x: np.nextafter(-x, 0), X, exact=True)
    with pytest.raises(AssertionError):
        check_op(ops.argmax, lambda x, axis: np.argmin(x, axis), X, exact=True, axis=1)


def test_allowances_are_bounds() -> None:
    def off(x: Any) -> Any:
        """tanh, as far off as 100 epsilons of the larger of it and 1."""
        return np.tanh(x) + 100 * np.finfo(np.float64).eps

    check_op(ops.tanh, off, X, epsilons=110, floor=1)
    for tight in ({"epsilons": 90, "floor": 1}, {"epsilons": 110, "floor": 0.5}, {"epsilons": 110}):
        with pytest.raises(AssertionError, match="elements are off"):
            check_op(ops.tanh, off, 0.1 * X, **tight)


@pytest.mark.parametrize("x", [X, normal((16, 16))], ids=["by element", "along a direction"])
def test_a_wrong_derivative_fails(x: Any) -> None:
    check_op(ops.exp, np.exp, x)
    check_op(exp, np.exp, x, differentiable=False)
    with pytest.raises(bp.GradientError):
        check_op(exp, np.exp, x)


@pytest.mark.parametrize("x", [X, normal((16, 16))], ids=["by element", "along a direction"])
def test_a_wrong_second_derivative_fails(x: Any) -> None:
    def once(x: Any) -> Any:
        """exp, the derivative of which has no derivative."""
        value = ops.exp(ops.stop_gradient(x))
        return value + value * (x - ops.stop_gradient(x))

    once.__name__ = "exp"
    check_op(once, np.exp, x)
    with pytest.raises(bp.GradientError):
        check_op(once, np.exp, x, order=2)


def test_an_op_that_is_not_made_fails() -> None:
    def mean(x: Any) -> Any:
        return ops.sum(x) / x.size

    with pytest.raises(AssertionError):
        check_op(mean, np.mean, X, floor=1)
    with pytest.raises(AssertionError):
        check_op(ops.reshape, lambda x, shape: x.reshape(shape), X, exact=True, view=True, shape=(4, 3))


def test_a_case_checks_when_asked() -> None:
    case = Case(ops.gather, lambda x, i: np.take(x, i, 0) + 1, X, integers((2,), 0, 3), exact=True)
    assert str(case) == "gather (3,4) (2,)"
    with pytest.raises(AssertionError):
        case.check()
