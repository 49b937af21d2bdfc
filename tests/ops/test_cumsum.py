"""cumsum, and split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import integers, normal
from tests.support.graphs import boolean, f64, infer

# shape, axis: alone, in rows, in columns around the width of a strip (64), of more than one task.
PLACES: list[tuple[tuple[int, ...], int]] = [
    ((1,), 0), ((7,), 0), ((33,), -1), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), -3), ((5, 1), 1),
    ((1, 5), 0), ((0,), 0), ((0, 3), 1), ((3, 0), 1), ((3, 0), 0), ((2, 0, 3), 0), ((4, 65), 0), ((3, 64), 0),
    ((2, 5, 130), 1), ((300, 70), 0), ((70, 300), 1), ((20000,), 0),
]  # fmt: skip


def _cumsum(x: Any, axis: int, reverse: bool) -> Any:
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)


CASES = [
    case
    for shape, axis in PLACES
    for reverse in (False, True)
    for case in [
        Case(
            ops.cumsum, _cumsum, normal(shape), axis=axis, reverse=reverse, magnitudes=True, order=2,
            epsilons=max(8, shape[axis] / 16),
        ),
        Case(ops.cumsum, _cumsum, integers(shape, -99, 99), axis=axis, reverse=reverse, exact=True),
    ]
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_taken_one_element_after_the_other_as_numpys(dtype: str) -> None:
    x = normal((40, 70)).astype(dtype)
    for axis in (0, 1):
        assert ops.cumsum(x, axis).tobytes() == np.cumsum(x, axis).tobytes()
        assert ops.cumsum(x, axis, reverse=True).tobytes() == _cumsum(x, axis, True).tobytes()


def test_special_values_and_integers_that_wrap_around() -> None:
    x = np.array([-0.0, 1, np.inf, 1, -np.inf, 1, np.nan, 1])
    assert np.signbit(ops.cumsum(x)[0])
    np.testing.assert_array_equal(ops.cumsum(x), [0, 1, np.inf, np.inf, np.nan, np.nan, np.nan, np.nan])
    most = np.iinfo(np.int64).max
    for shape in ((3,), (3, 1), (3, 2)):
        np.testing.assert_array_equal(
            ops.cumsum(np.full(shape, most), 0).reshape(3, -1)[:, 0], [most, -2, most - 2]
        )


def test_the_last_axis_unless_told_otherwise() -> None:
    x = normal((3, 4))
    np.testing.assert_array_equal(ops.cumsum(x), ops.cumsum(x, 1))


def test_the_derivative_adds_from_the_other_end() -> None:
    weights = np.array([1.0, 10, 100])
    for reverse, want in ((False, [111, 110, 100]), (True, [1, 11, 111])):
        slope = bp.grad(lambda x, r=reverse: ops.sum(weights * ops.cumsum(x, reverse=r)))(np.zeros(3))
        np.testing.assert_array_equal(slope, want)


def test_wrong_arguments_of_cumsum_are_errors_that_name_it() -> None:
    for type_, axis in ((f64(2, 3), 2), (f64(2, 3), -3), (f64(), 0)):
        with pytest.raises(
            ValueError, match=f"^cumsum: axis {axis} is out of range for {len(type_[0])} axes"
        ):
            infer("cumsum", type_, axis=axis, reverse=False)
    with pytest.raises(TypeError, match="^cumsum: input 0 must be a number, not bool"):
        infer("cumsum", boolean(3), axis=0, reverse=False)
    with pytest.raises(ValueError, match="^cumsum: expected 1 inputs, got 2"):
        infer("cumsum", f64(3), f64(3), axis=0, reverse=False)
    for axis in (1.0, True, "1", None):
        with pytest.raises(TypeError, match=f"^cumsum: axis must be an integer, got {axis!r}"):
            ops.cumsum(np.ones((2, 3)), axis)  # type: ignore[arg-type]
