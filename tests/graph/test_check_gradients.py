"""The check of derivatives, which most tests rely on: it finds wrong ones, of each order and argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.draw import normal

X = normal((2, 3))


def half_stopped(x: Any) -> Any:
    """x², the derivative of which comes out as x."""
    return x * ops.stop_gradient(x)


def test_right_derivatives_pass_with_a_small_error() -> None:
    for order in (1, 2, 3):
        assert 0 <= bp.check_gradients(lambda x: ops.exp(x) * x, X, order=order) <= 1e-6


@pytest.mark.parametrize("fn", [half_stopped, lambda x: ops.sum(half_stopped(x))])
def test_wrong_derivative_is_an_error(fn: Any) -> None:
    with pytest.raises(bp.GradientError, match=r"argument 0, index \(\d, \d\): the derivative is"):
        bp.check_gradients(fn, X)


def test_an_error_in_one_element_is_found_and_named() -> None:
    """All elements but one are right; the one is far from being the largest."""
    at = np.zeros((2, 3))
    at[1, 2] = 1

    def fn(x: Any) -> Any:
        return ops.sum(x * x) + 1e-3 * ops.sum(at * ops.stop_gradient(x))

    with pytest.raises(bp.GradientError, match=r"argument 0, index \(1, 2\)"):
        bp.check_gradients(fn, X)


def test_each_argument_is_checked() -> None:
    labels = np.array([2, 0])

    def fn(labels: Any, x: Any, y: Any) -> Any:
        return ops.cross_entropy(x, labels) + ops.sum(half_stopped(y))

    with pytest.raises(bp.GradientError, match="argument 2, index"):
        bp.check_gradients(fn, labels, X, X)


def test_all_elements_of_a_result_are_weighed() -> None:
    """Errors that cancel in a plain sum don't in the weighted one."""

    def fn(x: Any) -> Any:
        stopped = ops.stop_gradient(x)
        return ops.concatenate([x + stopped, x - stopped])

    assert np.ptp(bp.grad(lambda x: ops.sum(fn(x)))(X) - 2) == 0  # as differences of the sum would have it
    with pytest.raises(bp.GradientError):
        bp.check_gradients(fn, X)


def test_nan_is_an_error() -> None:
    with pytest.raises(bp.GradientError, match=r"the difference of values nan; relative error nan"):
        bp.check_gradients(lambda x: ops.sum(ops.sqrt(x)), np.array([1.0, -1.0]))


def test_nan_in_the_derivative_alone_is_an_error() -> None:
    """√(x²)² is x², but 0 · ∞ comes of its derivative at 0."""
    with pytest.raises(bp.GradientError, match="the derivative is nan, the difference of values"):
        bp.check_gradients(lambda x: ops.sum(ops.square(ops.sqrt(ops.square(x)))), np.zeros(2))


def test_second_order_finds_what_the_first_does_not_see() -> None:
    def fn(x: Any) -> Any:
        """Value x³, derivative 3x², but the derivative of that is 0."""
        stopped = ops.stop_gradient(x)
        return stopped**3 + 3 * stopped**2 * (x - stopped)

    bp.check_gradients(fn, X)
    with pytest.raises(bp.GradientError):
        bp.check_gradients(fn, X, order=2)


def test_tolerance_is_the_bound() -> None:
    """A derivative that is 1 % off."""

    def fn(x: Any) -> Any:
        return 0.99 * x + 0.01 * ops.stop_gradient(x)

    x = np.array(0.5)
    assert bp.check_gradients(fn, x, tolerance=0.0101) == pytest.approx(0.01, rel=1e-6)
    with pytest.raises(bp.GradientError, match=r"relative error 1\.00e-02 > 9\.90e-03"):
        bp.check_gradients(fn, x, tolerance=0.0099)


def test_derivatives_too_small_for_differences_are_no_errors() -> None:
    """Those of 1e-12 next to a value of 1: what differences give is rounding."""
    bp.check_gradients(lambda x: 1 + 1e-12 * ops.sum(x), X)


def test_results_that_do_not_depend_on_the_arguments_have_the_derivative_0() -> None:
    assert bp.check_gradients(lambda _: np.float64(3), X) == 0
    assert bp.check_gradients(lambda x: 0 * x, X) == 0


def test_arrays_without_elements_are_passed_over() -> None:
    with pytest.raises(bp.GradientError, match="argument 1"):
        bp.check_gradients(lambda x, y: ops.sum(x) + ops.sum(half_stopped(y)), np.zeros((0, 2)), X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": 0}, ValueError, "order must be at least 1, got 0"),
        ({"order": True}, TypeError, "order must be an integer"),
        ({"order": 1.0}, TypeError, "order must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
    ],
)
def test_orders_and_seeds_are_integers(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^check_gradients: {message}"):
        bp.check_gradients(ops.exp, X, **options)
    assert bp.check_gradients(ops.exp, X, order=np.int64(2), seed=np.int32(3)) <= 1e-6


def test_arrays_of_floats_are_needed() -> None:
    with pytest.raises(TypeError, match="none of the arguments holds floats"):
        bp.check_gradients(lambda x: x, np.arange(3))
