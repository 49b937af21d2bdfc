"""gather, its reverse scatter_add, one_hot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support import references
from tests.support.check_op import Case
from tests.support.draw import integers, mask, normal
from tests.support.graphs import boolean, f64, i64, infer

# shape, axis, shape of the indices
GATHERS = [
    ((5,), 0, ()), ((5,), 0, (7,)), ((1,), 0, (3,)), ((5, 3), 0, (4,)), ((5, 3), 1, (4,)),
    ((5, 3), -1, (2, 2)), ((2, 5, 3), 1, (6,)), ((2, 5, 3), -2, (2, 1)), ((2, 3, 5), 2, (0,)),
    ((5, 0), 0, (4,)), ((0, 5), 1, (3,)), ((300, 64), 0, (400,)), ((3, 100, 16), 1, (9, 50)),
]  # fmt: skip
# shape, shape of the indices, axis, size of the result's axis
SCATTERS = [
    ((7,), (7,), 0, 5), ((), (), 0, 3), ((4, 3), (4,), 0, 5), ((2, 6, 3), (6,), 1, 4),
    ((2, 2, 3, 2), (2, 3), 1, 4), ((0, 3), (0,), 0, 2), ((400, 50), (400,), 0, 30),
]  # fmt: skip
INDEX_SHAPES = [(), (1,), (7,), (2, 3), (0,), (2, 0), (4000,)]

CASES = (
    [
        case
        for shape, axis, indices in GATHERS
        for case in [
            Case(
                ops.gather,
                np.take,
                draw(shape),
                integers(indices, 0, shape[axis]),
                axis=axis,
                exact=True,
                **options,
            )
            for draw, options in [
                (normal, {"order": 2}),
                (mask, {}),
                (lambda shape: integers(shape, -9, 9), {}),
            ]
        ]
    ]
    + [
        Case(
            "scatter_add",
            references.scatter_add,
            normal(shape),
            integers(indices, 0, size),
            axis=axis,
            size=size,
            exact=True,
            order=2,
        )
        for shape, indices, axis, size in SCATTERS
    ]
    + [
        Case(ops.one_hot, references.one_hot, integers(shape, 0, depth), depth=depth, dtype=dtype, exact=True)
        for shape in INDEX_SHAPES
        for depth in (1, 5, 17)
        for dtype in ("float32", "float64", "int64", "bool")
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def test_an_index_used_twice_gets_both_derivatives() -> None:
    gradient = bp.grad(lambda x: ops.sum(ops.gather(x, np.array([1, 1, 0])) * np.array([1.0, 10, 100])))(
        np.zeros(3)
    )
    np.testing.assert_array_equal(gradient, [100, 11, 0])


@pytest.mark.parametrize("index", [-1, 5, 2**62, -(2**63)])
def test_index_out_of_range_is_a_value_error_that_names_it(index: int) -> None:
    indices = np.array([0, index, 1])
    with pytest.raises(ValueError, match=rf"^gather: index {index} is out of range \[0, 5\)"):
        ops.gather(np.zeros((5, 2)), indices)
    with pytest.raises(ValueError, match=rf"^one_hot: index {index} is out of range \[0, 5\)"):
        ops.one_hot(indices, 5)


def test_gather_from_an_empty_axis_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^gather: index 0 is out of range \[0, 0\)"):
        ops.gather(np.zeros((0, 2)), np.array([0]))


@pytest.mark.parametrize(
    ("op", "types", "attributes", "error", "message"),
    [
        ("gather", [f64(5), f64(3)], {"axis": 0}, TypeError, "input 1 must be int64, not float64"),
        ("gather", [f64(5), boolean(5)], {"axis": 0}, TypeError, "input 1 must be int64, not bool"),
        ("gather", [f64(5), i64(3)], {"axis": 1}, ValueError, "axis 1 is out of range for 1 axes"),
        ("gather", [f64(), i64(3)], {"axis": 0}, ValueError, "axis 0 is out of range for 0 axes"),
        ("one_hot", [f64(3)], {"depth": 2}, TypeError, "input 0 must be int64, not float64"),
        ("one_hot", [i64(3)], {"depth": 0}, ValueError, "depth must be at least 1, got 0"),
        ("scatter_add", [f64(3), f64(3)], {"axis": 0, "size": 3}, TypeError, "input 1 must be int64"),
        (
            "scatter_add",
            [boolean(3), i64(3)],
            {"axis": 0, "size": 3},
            TypeError,
            "input 0 must be a number, not bool",
        ),
        ("scatter_add", [f64(4), i64(3)], {"axis": 0, "size": 3}, ValueError, r"\(4,\).*\(3,\)"),
    ],
)
def test_wrong_arguments_raise_and_name_the_op(
    op: str, types: list, attributes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *types, **attributes)


@pytest.mark.parametrize("axis", [1.0, True, None])
def test_gather_and_concatenate_take_integers_as_axes(axis: Any) -> None:
    with pytest.raises(TypeError, match="^gather: axis must be an integer"):
        ops.gather(np.ones((2, 3)), np.array([0]), axis=axis)
    with pytest.raises(TypeError, match="^concatenate: axis must be an integer"):
        ops.concatenate([np.ones((2, 3))], axis=axis)


@pytest.mark.parametrize("depth", [2.9, True, None])
def test_one_hot_takes_an_integer_as_depth(depth: Any) -> None:
    with pytest.raises(TypeError, match="^one_hot: depth must be an integer"):
        ops.one_hot(np.array([0]), depth)


def test_sequence_mask_is_true_before_each_length() -> None:
    lengths = np.array([[0, 2], [4, 3]])
    want = [[[0, 0, 0, 0], [1, 1, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 0]]]
    found = ops.sequence_mask(lengths, 4)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, np.array(want, bool))
    assert ops.sequence_mask(np.zeros((2, 2), int), 0).shape == (2, 2, 0)
    assert ops.sequence_mask(np.zeros((0,), int), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("lengths", "size", "error", "message"),
    [
        (np.ones(2), 3, TypeError, "lengths must be int64, got float64"),
        (np.array([1, 2]), -1, ValueError, "size must be at least 0, got -1"),
        (np.array([1, 2]), 3.0, TypeError, "size must be an integer"),
        (np.array([1, 4]), 3, ValueError, r"lengths lie in \[0, 3\], got 4"),
        (np.array([[-1, 4]]), 3, ValueError, r"lengths lie in \[0, 3\], got -1"),
    ],
)
def test_sequence_mask_refuses(lengths: Any, size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^sequence_mask: {message}"):
        ops.sequence_mask(lengths, size)


@pytest.mark.parametrize("length", [-1, 5])
def test_lengths_that_only_a_run_knows_are_looked_at_by_it(length: int) -> None:
    model = nn.Sequential(lambda lengths: ops.sequence_mask(lengths, 4))
    np.testing.assert_array_equal(model(np.array([4, 0])), [[True] * 4, [False] * 4])
    with pytest.raises(ValueError, match=rf"input\[1\] is {length}, but gather takes integers from 0 to 4$"):
        model(np.array([1, length]))
