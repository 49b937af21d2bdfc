"""sum, mean, max, min over any axes; argmax, argmin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support.check_op import Case
from tests.support.draw import distinct, integers, normal
from tests.support.graphs import boolean, f64, i64, infer

if TYPE_CHECKING:
    from collections.abc import Callable

# shape, axis. Rows and columns around the widths of vectors and longer than a block (4096 in a row, 128 rows,
# 64 columns), size-1 axes, several axes at once, neighbours or not.
REDUCTIONS: list[tuple[tuple[int, ...], Any]] = [
    ((), None), ((), ()), ((1,), 0), ((7,), 0), ((15,), -1), ((16,), None), ((17,), 0), ((33,), 0),
    ((100,), 0), ((3, 4), 0), ((3, 4), 1), ((3, 4), (0, 1)), ((3, 4), ()), ((1, 5), 0), ((5, 1), -1),
    ((2, 3, 4), 1), ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 0)), ((2, 1, 4), (0, 2)), ((1, 3, 1), (0, 2)),
    ((2, 3, 2, 3), (1, 3)), ((2, 3, 2, 3), (0, 2)), ((3, 1, 2, 2), (1, 2)), ((2, 2, 2, 2, 2), (0, 2, 4)),
    ((5000,), 0), ((3, 9001), 1), ((300, 3), 0), ((300, 65), 0), ((2, 130, 70), 1), ((17000, 2), 0),
    ((2, 17000), 0), ((40, 5, 130), (0, 2)),
]  # fmt: skip
EMPTY: list[tuple[tuple[int, ...], Any]] = [((0, 3), 1), ((3, 0), 0), ((0, 2, 3), (1, 2))]


def _is_view(shape: tuple[int, ...], axis: Any) -> bool:
    """Whether there is nothing to reduce: every result comes of one element, or there are none."""
    return np.zeros(shape).sum(axis).size == np.zeros(shape).size


def _cases(shape: tuple[int, ...], axis: Any, keepdims: bool) -> list[Case]:
    def case(op: Callable[..., Any], reference: Callable[..., Any], x: Any, **how: Any) -> Case:
        return Case(op, reference, x, axis=axis, keepdims=keepdims, view=_is_view(shape, axis), **how)

    rounding: dict[str, Any] = {"magnitudes": True, "epsilons": 6, "order": 2}
    return [
        case(ops.sum, np.sum, normal(shape), **rounding),
        case(ops.mean, np.mean, normal(shape), **rounding),
        case(ops.max, np.max, distinct(shape), exact=True),
        case(ops.min, np.min, distinct(shape), exact=True),
        case(ops.sum, np.sum, integers(shape, -99, 99), exact=True),
        case(ops.max, np.max, integers(shape, -99, 99), exact=True),
        case(ops.min, np.min, integers(shape, -99, 99), exact=True),
    ]


CASES = [
    case
    for shape, axis in REDUCTIONS + EMPTY
    for keepdims in (False, True)
    for case in _cases(shape, axis, keepdims)
] + [
    Case(op, reference, x, axis=axis, keepdims=keepdims, exact=True, differentiable=False)
    for op, reference in [(ops.argmax, np.argmax), (ops.argmin, np.argmin)]
    for shape, axis in [*REDUCTIONS, ((0, 3), 1), ((3, 0), 0), ((2, 3, 0), 1), ((2, 0, 3), 0)]
    if isinstance(axis, int)
    for keepdims in (False, True)
    for x in [normal(shape), np.round(normal(shape)), integers(shape, -3, 3)]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_sum_of_nothing_is_zero(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(
        ops.sum(np.zeros(shape), len(shape) - 1 if shape == (0,) else shape.index(0)),
        np.zeros([n for n in shape if n]),
    )
    assert ops.sum(np.zeros(shape, np.int64)) == 0


@pytest.mark.parametrize("op", ["mean", "max", "min"])
def test_other_reductions_of_nothing_are_a_value_error(op: str) -> None:
    with pytest.raises(ValueError, match=rf"^{op}: axis 1 of shape \(3, 0\)"):
        infer(op, f64(3, 0), axes=[1], keepdims=False)


def test_sum_of_many_small_numbers_keeps_its_digits() -> None:
    """Blocks are summed apart, so errors don't grow with the length as they do one number after another."""
    x = np.full(1_000_000, 0.1, np.float32)
    exact = 1e6 * float(np.float32(0.1))
    np.testing.assert_allclose(ops.sum(x), exact, rtol=1e-5)
    np.testing.assert_allclose(ops.sum(np.repeat(x[:100_000, None], 3, 1), 0), [exact / 10] * 3, rtol=1e-5)
    assert abs(np.cumsum(x)[-1] - exact) > 1e-3 * exact


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [2, 15, 16, 17, 40, 5000])
@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin"])
def test_nan_and_infinities_are_handed_through_as_numpys(op: str, size: int, dtype: str) -> None:
    for position in {0, 1, size // 2, size - 1}:
        for value in (np.nan, np.inf, -np.inf):
            x = normal((size,)).astype(dtype)
            x[position] = value
            matrix = np.stack([x, x[::-1]])
            for axis, array in ((1, matrix), (0, np.ascontiguousarray(matrix.T))):
                np.testing.assert_array_equal(getattr(ops, op)(array, axis), getattr(np, op)(array, axis))


@pytest.mark.parametrize("op", ["max", "argmax"])
def test_first_of_several_nans_and_of_equal_ones(op: str) -> None:
    for row in ([1.0, np.nan, 3, np.nan], [2, 5, 5, 1], [-np.inf, -np.inf], [np.inf, np.inf], [-0.0, 0.0]):
        np.testing.assert_array_equal(getattr(ops, op)(np.array(row), 0), getattr(np, op)(row, 0))


def test_nothing_but_infinities() -> None:
    np.testing.assert_array_equal(ops.max(np.full((3, 20), -np.inf), 1), [-np.inf] * 3)
    np.testing.assert_array_equal(ops.min(np.full((20, 3), np.inf), 0), [np.inf] * 3)


@pytest.mark.parametrize("op", [ops.max, ops.min])
@pytest.mark.parametrize("axis", [None, 0, 2, (0, 1), (0, 2)])
def test_equal_extremes_share_the_derivative_evenly(op, axis: Any) -> None:
    x = np.round(normal((3, 2, 4)))
    extreme = op(x, axis, keepdims=True)
    tied = (x == extreme).astype(float)
    gradient = bp.grad(lambda v: ops.sum(op(v, axis)))(x)
    np.testing.assert_allclose(gradient, tied / tied.sum(axis, keepdims=True))


@pytest.mark.parametrize("op", [ops.max, ops.min])
def test_equal_extremes_of_unequal_rows_share_the_derivative_evenly(op) -> None:
    """Axes that are no neighbours; one row along the last has two of the extremes, the other one."""
    x = np.array([[[5.0, 5.0]], [[5.0, 0.0]]]) * (1 if op is ops.max else -1)
    x = np.repeat(x, 3, 1)
    third = 1 / 3
    gradient = bp.grad(lambda v: ops.sum(op(v, (0, 2))))(x)
    np.testing.assert_allclose(gradient[:, 0], [[third, third], [third, 0]])


@pytest.mark.parametrize(
    ("op", "type_", "attributes", "message"),
    [
        *(
            (op, f64(2, 3), {"axes": [2], "keepdims": False}, "axis 2 is out of range for 2 axes")
            for op in ("sum", "mean", "max", "min")
        ),
        ("sum", f64(2, 3), {"axes": [-3], "keepdims": False}, "axis -3 is out of range for 2 axes"),
        ("sum", f64(2, 3), {"axes": [1, -1], "keepdims": False}, "axis -1 comes twice"),
        ("argmax", f64(2, 3), {"axis": 2, "keepdims": False}, "axis 2 is out of range for 2 axes"),
        ("argmin", f64(), {"axis": 0, "keepdims": False}, "axis 0 is out of range for 0 axes"),
        ("argmax", f64(2, 0), {"axis": 1, "keepdims": False}, r"axis 1 of shape \(2, 0\) is empty"),
    ],
)
def test_wrong_axes_are_a_value_error(op: str, type_: tuple, attributes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{op}: {message}"):
        infer(op, type_, **attributes)


@pytest.mark.parametrize(
    ("op", "type_"),
    [(op, boolean(3)) for op in ("sum", "mean", "max", "min", "argmax", "argmin")] + [("mean", i64(3))],
)
def test_wrong_dtype_is_a_type_error_that_names_the_op(op: str, type_: tuple) -> None:
    with pytest.raises(TypeError, match=rf"^{op}: input 0 must be .*{type_[1]}"):
        infer(op, type_, axes=[0], axis=0, keepdims=False)


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("axis", [1.0, True, "1"])
def test_an_axis_is_an_integer(op: str, axis: Any) -> None:
    with pytest.raises(TypeError, match=f"^{op}: axis must be an integer, got {axis!r}"):
        getattr(ops, op)(np.ones((2, 3)), axis=axis)
    if "arg" not in op:
        with pytest.raises(TypeError, match=f"^{op}: axis must be an integer, got {axis!r}"):
            getattr(ops, op)(np.ones((2, 3)), axis=(0, axis))


def test_several_axes_may_come_in_any_kind_of_list() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for axes in ((0, -1), [0, 2], np.array([0, 2]), range(0, 3, 2)):
        np.testing.assert_array_equal(ops.sum(x, axes), x.sum((0, 2)))
