"""reshape, identity, stop_gradient, and the Python functions made of reshape: expand_dims, squeeze, stack."""

from __future__ import annotations

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import VECTOR_SHAPES, integers, mask, normal
from tests.support.graphs import f64, infer

RESHAPES = [
    ((), (1, 1)), ((1,), ()), ((6,), (2, 3)), ((2, 3), (3, 2)), ((2, 3, 4), (-1,)), ((2, 3, 4), (6, -1)),
    ((24,), (2, -1, 4)), ((0, 3), (3, 0)), ((0, 3), (-1, 1, 3)), ((2, 0), (0,)), ((5, 3300), (3300, 5)),
]  # fmt: skip

CASES = (
    [Case(ops.reshape, np.reshape, normal(a), shape=b, exact=True, order=2) for a, b in RESHAPES]
    + [Case(ops.reshape, np.reshape, integers(a, -9, 9), shape=b, exact=True) for a, b in RESHAPES]
    + [Case(ops.identity, np.positive, normal(shape), exact=True, order=2) for shape in VECTOR_SHAPES]
    + [Case(ops.identity, np.copy, mask(shape), exact=True) for shape in VECTOR_SHAPES]
    + [
        Case(ops.stop_gradient, np.positive, normal(s), exact=True, differentiable=False)
        for s in VECTOR_SHAPES
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def test_stop_gradient_is_a_constant_for_derivatives() -> None:
    x = normal((4,))
    gradient = bp.grad(lambda v: ops.sum(v * ops.stop_gradient(v)))(x)
    np.testing.assert_array_equal(gradient, x)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_expand_dims_squeeze_and_stack_as_numpys(axis: int) -> None:
    x = normal((2, 3))
    np.testing.assert_array_equal(ops.expand_dims(x, axis), np.expand_dims(x, axis))
    np.testing.assert_array_equal(ops.squeeze(np.expand_dims(x, axis), axis), x)
    np.testing.assert_array_equal(ops.stack([x, 2 * x], axis), np.stack([x, 2 * x], axis))
    bp.check_gradients(
        lambda a, b: ops.stack([a, ops.squeeze(ops.expand_dims(b, axis), axis)], axis), x, 2 * x
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: ops.expand_dims(np.zeros((2, 3)), 3), r"^expand_dims: axis 3 .*\(2, 3\)"),
        (lambda: ops.squeeze(np.zeros((2, 3)), 1), r"^squeeze: axis 1 of shape \(2, 3\)"),
        (lambda: ops.stack([]), r"^stack: "),
    ],
)
def test_wrong_axes_are_a_value_error_that_names_the_function(function, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.reshape(x, (2.9, 3)), "reshape: shape must be an integer, got 2.9"),
        (lambda x: ops.reshape(x, 6.0), "reshape: shape must be an integer, got 6.0"),
        (lambda x: ops.reshape(x, (True, 6)), "reshape: shape must be an integer, got True"),
        (lambda x: ops.reshape(x, "6"), "reshape: shape must be an integer, got '6'"),
        (lambda x: ops.broadcast_to(x, (4.5, 2, 3)), "broadcast_to: shape must be an integer, got 4.5"),
        (lambda x: ops.transpose(x, (1.2, 0)), "transpose: axes must be an integer, got 1.2"),
        (lambda x: ops.expand_dims(x, 1.0), "expand_dims: axis must be an integer, got 1.0"),
        (lambda x: ops.squeeze(x, 0.0), "squeeze: axis must be an integer, got 0.0"),
    ],
)
def test_sizes_and_axes_are_not_rounded(function, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        function(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=f"^{message}"):
        bp.grad(lambda x: ops.sum(function(x)))(np.zeros((2, 3)))


def test_sizes_and_axes_are_integers_of_any_kind() -> None:
    x = normal((2, 3))
    for shape in ((3, 2), [3, 2], np.array([3, 2]), (np.int32(3), 2), (size for size in (3, 2))):
        np.testing.assert_array_equal(ops.reshape(x, shape), x.reshape(3, 2))
    np.testing.assert_array_equal(ops.reshape(x, np.int64(6)), x.ravel())
    np.testing.assert_array_equal(ops.transpose(x, np.array([1, 0])), x.T)


@pytest.mark.parametrize(
    ("shape", "to"), [((6,), [4]), ((6,), [4, -1]), ((2, 3), [-1, -1]), ((2, 3), [-2, 3]), ((0, 3), [-1, 0])]
)
def test_shapes_of_another_size_are_a_value_error(shape: tuple, to: list) -> None:
    with pytest.raises(ValueError, match="^reshape: "):
        infer("reshape", f64(*shape), shape=to)


def test_reshape_names_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"^reshape: .*\(2, 3\).*\(4,\)"):
        infer("reshape", f64(2, 3), shape=[4])
