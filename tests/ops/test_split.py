"""split, which is made of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.draw import integers, mask, normal


@pytest.mark.parametrize(
    ("shape", "where", "axis"),
    [
        ((6,), 1, 0), ((6,), 3, 0), ((6,), 6, -1), ((6, 4), 2, 1), ((6, 4), np.int32(2), -2),
        ((2, 3, 4), 3, 1), ((0, 3), 2, 0), ((4, 0), 2, 0), ((6,), [2], 0), ((6,), [], 0),
        ((6,), (0, 2, 2, 6), 0),
        ((5, 4), np.array([1, 3]), 1), ((5, 4), [1, 3], -2),
    ],
)  # fmt: skip
def test_pieces_as_numpys(shape: tuple[int, ...], where: Any, axis: int) -> None:
    for x in (normal(shape), normal(shape).astype("float32"), integers(shape, 0, 9), mask(shape)):
        pieces, want = ops.split(x, where, axis), np.split(x, where, axis)
        assert isinstance(pieces, list)
        assert len(pieces) == len(want)
        for got, expected in zip(pieces, want, strict=True):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_array_equal(got, expected)


def test_derivatives_of_pieces() -> None:
    def mixed(x: Any) -> Any:
        a, b, c = ops.split(x, [2, 3], 1)
        return ops.sum(a**2, 1) + 3 * ops.sum(b, 1) ** 3 + ops.sum(ops.exp(c), 1)

    bp.check_gradients(mixed, normal((3, 5)), order=2)
    slope = bp.grad(lambda x: ops.sum(ops.split(x, 3)[1]))(np.ones((6, 2)))
    np.testing.assert_array_equal(slope, np.repeat([0.0, 1.0, 0.0], 2)[:, None] * np.ones(2))


def test_concatenate_is_the_way_back() -> None:
    x = normal((5, 7))
    np.testing.assert_array_equal(ops.concatenate(ops.split(x, [1, 5], 1), 1), x)


@pytest.mark.parametrize(
    ("where", "axis", "error", "message"),
    [
        (4, 0, ValueError, "4 pieces of 6 elements would not be equal"),
        (0, 0, ValueError, "indices_or_sections must be at least 1, got 0"),
        (-2, 0, ValueError, "indices_or_sections must be at least 1, got -2"),
        ([3, 2], 0, ValueError, "indices must be in order and within the 6 elements, got .3, 2."),
        ([7], 0, ValueError, "indices must be in order and within the 6 elements, got .7."),
        ([-1], 0, ValueError, "indices must be in order and within the 6 elements, got .-1."),
        (2, 2, ValueError, r"axis 2 is out of range for shape \(6, 4\)"),
        (2, -3, ValueError, r"axis -3 is out of range for shape \(6, 4\)"),
        (2.0, 0, TypeError, "indices_or_sections must be an integer, got 2.0"),
        (True, 0, TypeError, "indices_or_sections must be an integer, got True"),
        ([2.5], 0, TypeError, "indices_or_sections must be an integer, got 2.5"),
        (2, 1.0, TypeError, "axis must be an integer, got 1.0"),
    ],
)
def test_wrong_arguments_are_errors_that_name_the_op(where: Any, axis: Any, error: Any, message: str) -> None:
    for function in (
        lambda x: ops.split(x, where, axis),
        bp.grad(lambda x: ops.sum(ops.split(x, where, axis)[0])),
    ):
        with pytest.raises(error, match=f"^split: {message}"):
            function(np.ones((6, 4)))
