"""copy, transpose, broadcast_to, slice and its reverse, concatenate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import getitem
from tests.support import references
from tests.support.check_op import Case
from tests.support.draw import VECTOR_SHAPES, integers, mask, normal
from tests.support.graphs import Graph, f32, f64, i64, infer

TRANSPOSES = [
    ((), ()), ((7,), (0,)), ((3, 5), (1, 0)), ((3, 5), (0, 1)), ((2, 3, 4), (2, 0, 1)),
    ((2, 3, 4), (-1, 0, -2)), ((2, 1, 3, 2), (3, 1, 0, 2)), ((1, 4, 1), (2, 1, 0)), ((0, 3), (1, 0)),
    ((130, 131), (1, 0)), ((3, 60, 100), (0, 2, 1)),
]  # fmt: skip
BROADCASTS = [
    ((), (3,)), ((), (1, 1)), ((1,), (33,)), ((5, 1), (5, 4)), ((4,), (2, 3, 4)), ((2, 1, 3), (2, 5, 3)),
    ((1,), (0,)), ((0, 1), (0, 4)), ((1, 130), (130, 130)), ((130, 1), (130, 130)),
]  # fmt: skip
# shape, start, size, step
BOXES = [
    ((), [], [], []),
    ((7,), [2], [3], [1]),
    ((7,), [6], [7], [-1]),
    ((7,), [5], [3], [-2]),
    ((7,), [0], [0], [1]),
    ((4, 5), [1, 0], [2, 5], [1, 1]),
    ((4, 5), [0, 4], [4, 3], [1, -2]),
    ((4, 5), [3, 4], [4, 5], [-1, -1]),
    ((3, 1, 4), [2, 0, 3], [2, 1, 2], [-2, 1, -3]),
    ((2, 3, 4), [0, 1, 0], [2, 0, 4], [1, 1, 1]),
    ((0, 3), [0, 0], [0, 2], [1, 2]),
    ((200, 200), [199, 1], [190, 99], [-1, 2]),
]
CONCATENATIONS = [
    ([(3,), (4,)], 0),
    ([(1,), (16,), (17,)], 0),
    ([(2, 3), (2, 1), (2, 5)], 1),
    ([(2, 3), (4, 3)], -2),
    ([(2, 3, 2), (2, 1, 2)], -2),
    ([(2, 0), (2, 3)], 1),
    ([(0, 3), (0, 3)], 0),
    ([(5,)], 0),
    ([(140, 70), (140, 80)], 1),
]


def _transposed(x: Any, axes: tuple[int, ...]) -> Any:
    return np.ascontiguousarray(np.transpose(x, axes)).reshape(np.transpose(x, axes).shape)


def _padded(x: Any, value: float, **box: Any) -> Any:
    inside = references.unslice(np.ones(x.shape, bool), **box)
    return np.where(inside, references.unslice(x, **box), x.dtype.type(value))


CASES = (
    [Case("copy", np.positive, normal(shape), exact=True, order=2) for shape in VECTOR_SHAPES]
    + [Case("copy", np.copy, mask(shape), exact=True) for shape in VECTOR_SHAPES]
    + [Case(ops.transpose, _transposed, normal(s), axes=axes, exact=True, order=2) for s, axes in TRANSPOSES]
    + [Case(ops.transpose, _transposed, integers(s, -9, 9), axes=axes, exact=True) for s, axes in TRANSPOSES]
    + [Case(ops.transpose, _transposed, mask(s), axes=axes, exact=True) for s, axes in TRANSPOSES]
    + [
        Case(ops.broadcast_to, np.broadcast_to, normal(a), shape=b, exact=True, order=2)
        for a, b in BROADCASTS
    ]
    + [Case(ops.broadcast_to, np.broadcast_to, mask(a), shape=b, exact=True) for a, b in BROADCASTS]
    + [
        Case(
            "slice",
            references.slice_box,
            draw(shape),
            start=start,
            size=size,
            step=step,
            exact=True,
            **options,
        )
        for shape, start, size, step in BOXES
        for draw, options in [
            (normal, {"order": 2}),
            (mask, {}),
            (lambda shape: integers(shape, -9, 9), {}),
        ]
    ]
    + [
        Case(
            "unslice",
            references.unslice,
            normal(tuple(size)),
            shape=list(shape),
            start=start,
            size=size,
            step=step,
            exact=True,
            order=2,
        )
        for shape, start, size, step in BOXES
    ]
    + [
        Case(
            "unslice",
            _padded,
            draw(tuple(size)),
            shape=list(shape),
            start=start,
            size=size,
            step=step,
            value=value,
            exact=True,
        )
        for shape, start, size, step in BOXES
        for draw, value in [
            (normal, 0.5),
            (mask, 1.0),
            (lambda shape: integers(shape, -9, 9), -3.0),
        ]
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


def _concatenation(axis: int, parts: list[Any]) -> Case:
    return Case(
        "concatenate", lambda *xs, axis: np.concatenate(xs, axis), *parts, axis=axis, exact=True, order=2
    )


CONCATENATE_CASES = [
    _concatenation(axis, [draw(shape, key) for key, shape in enumerate(shapes)])
    for shapes, axis in CONCATENATIONS
    for draw in (normal, mask)
]
CASES += CONCATENATE_CASES


@pytest.mark.parametrize(
    "key",
    [
        0, -1, (1, 2), (slice(None), 0), slice(1, 3), slice(None, None, -1), slice(-2, None), slice(3, 0, -2),
        slice(2, 2), (..., -1), (slice(None, None, 2), None, slice(4, None, -2)), (0, ..., slice(1, 2)),
        (slice(None), None, 3), ..., slice(-100, 100),
    ],
    ids=str,
)  # fmt: skip
def test_indexing_as_numpy(key: Any) -> None:
    x = normal((4, 5))
    np.testing.assert_array_equal(getitem(x, key), x[key])
    bp.check_gradients(lambda v: v[key], x, order=2)


@pytest.mark.parametrize("key", [4, -5, (0, 5), (0, 0, 0), (..., ...)], ids=str)
def test_indices_out_of_range_are_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError, match="^getitem: "):
        bp.grad(lambda v: ops.sum(v[key]))(normal((4, 5)))


@pytest.mark.parametrize(
    ("op", "types", "attributes", "message"),
    [
        ("transpose", [f64(2, 3)], {"axes": [0]}, r"1 axes for shape \(2, 3\)"),
        ("transpose", [f64(2, 3)], {"axes": [0, 0]}, "axis 0 comes twice"),
        ("transpose", [f64(2, 3)], {"axes": [0, -2]}, "axis -2 comes twice"),
        ("transpose", [f64(2, 3)], {"axes": [0, 2]}, "axis 2 is out of range for 2 axes"),
        ("broadcast_to", [f64(2, 3)], {"shape": [2, 4]}, r"shapes \(2, 3\) and \(2, 4\)"),
        ("broadcast_to", [f64(2, 3)], {"shape": [3]}, r"shape \(2, 3\) does not broadcast to \(3,\)"),
        ("broadcast_to", [f64(3)], {"shape": [1]}, r"shape \(3,\) does not broadcast to \(1,\)"),
        (
            "slice",
            [f64(4)],
            {"start": [2], "size": [3], "step": [1]},
            r"3 elements of axis 0 from 2 .*\(4,\)",
        ),
        (
            "slice",
            [f64(4)],
            {"start": [1], "size": [3], "step": [-1]},
            r"3 elements of axis 0 from 1 .* \(4,\)",
        ),
        ("slice", [f64(4)], {"start": [1], "size": [2], "step": [0]}, "step"),
        ("slice", [f64(4)], {"start": [1], "size": [-1], "step": [1]}, r"\(4,\)"),
        ("slice", [f64(4, 5)], {"start": [1], "size": [1], "step": [1]}, "one entry for each of 2 axes"),
        (
            "concatenate",
            [f64(2, 3), f64(3, 3)],
            {"axis": 1},
            r"shapes \(2, 3\) and \(3, 3\) differ beyond axis 1",
        ),
        ("concatenate", [f64(2, 3), f64(2)], {"axis": 0}, r"shapes \(2, 3\) and \(2,\) differ in rank"),
        ("concatenate", [f64(2), f64(2)], {"axis": 1}, "axis 1 is out of range for 1 axes"),
        ("concatenate", [f64(), f64()], {"axis": 0}, "axis 0 is out of range for 0 axes"),
        ("concatenate", [], {"axis": 0}, "at least one"),
    ],
)
def test_wrong_shapes_are_a_value_error(op: str, types: list, attributes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{op}: .*{message}"):
        infer(op, *types, **attributes)


def test_parts_of_different_dtypes_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="^concatenate: dtypes float32 and int64 differ"):
        infer("concatenate", f32(2), i64(2), axis=0)


@pytest.mark.parametrize("value", [0, 1.5, -np.inf])
@pytest.mark.parametrize(
    ("shape", "padding"),
    [((3,), [(1, 2)]), ((2, 3), (1, (0, 2))), ((2, 0, 3), ((0, 0), (1, 1), 0)), ((300, 70), (3, (5, 0)))],
)
def test_pad_is_numpys(shape: tuple[int, ...], padding: Any, value: float) -> None:
    x = normal(shape)
    sides = [(side, side) if isinstance(side, int) else side for side in padding]
    np.testing.assert_array_equal(ops.pad(x, padding, value), np.pad(x, sides, constant_values=value))
    bp.check_gradients(lambda t: ops.pad(x[:2] * t, padding, 2.0), np.ones(()), order=2)


def test_pad_keeps_integers_and_bools() -> None:
    np.testing.assert_array_equal(ops.pad(np.arange(3), [1], -7), [-7, 0, 1, 2, -7])
    np.testing.assert_array_equal(ops.pad(np.array([True]), [(0, 1)], True), [True, True])


@pytest.mark.parametrize(
    ("x", "padding", "value", "error", "message"),
    [
        (
            np.ones((2, 2)),
            [1],
            0,
            ValueError,
            "padding must be an integer, or .* of 2 axes",
        ),
        (np.ones(2), [-1], 0, ValueError, "padding of an axis must be at least 0"),
        (np.ones(2), [1.0], 0, TypeError, "padding of an axis must be an integer"),
        (np.ones(2), [1], "0", TypeError, "value must be a number"),
        (np.arange(2), [1], 0.5, ValueError, "0.5 is no int64"),
    ],
)
def test_pad_refuses_what_does_not_fit(x: Any, padding: Any, value: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^pad: {message}"):
        ops.pad(x, padding, value)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_no_bit_of_padding(threads: int) -> None:
    graph = Graph()
    x = graph.input(f32(501, 120))
    box = {"start": [3, 1], "size": [501, 120], "step": [2, 1], "shape": [1010, 130]}
    plan = graph.plan(graph.add("unslice", x, value=0.5, **box))
    arrays = [normal((501, 120)).astype("float32")]
    assert plan.run(None, arrays, threads=threads)[0].tobytes() == plan.run(None, arrays)[0].tobytes()
