"""max_pool2d and avg_pool2d, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.ops import windows
from bpcore.symbolic.operators import apply
from tests.support import pooling
from tests.support.check_op import Case
from tests.support.draw import distinct, normal
from tests.support.graphs import Graph, f32, f64, i64, infer

# shape of x, window, strides, padding (top, bottom, left, right), dilation
POOLS: list[tuple[Any, ...]] = [
    ((2, 4, 6, 3), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),  # tiles
    ((1, 5, 7, 16), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),  # and leaves a row and a column over
    ((2, 5, 4, 17), (2, 2), (2, 2), (1, 0, 0, 1), (1, 1)),
    ((1, 7, 6, 8), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),  # overlaps
    ((2, 5, 5, 5), (3, 2), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((1, 4, 9, 2), (1, 3), (1, 3), (0, 0, 1, 2), (1, 1)),
    ((1, 8, 7, 3), (2, 3), (3, 4), (0, 0, 0, 0), (1, 1)),  # gaps
    ((1, 6, 7, 4), (1, 1), (2, 3), (0, 0, 0, 0), (1, 1)),
    ((1, 6, 5, 2), (6, 5), (1, 1), (0, 0, 0, 0), (1, 1)),  # a single window
    ((2, 1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((0, 4, 4, 3), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    ((2, 4, 4, 0), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
]
DILATED: list[tuple[Any, ...]] = [
    ((1, 7, 8, 3), (2, 3), (1, 2), (0, 0, 0, 0), (3, 2)),
    ((1, 6, 6, 16), (2, 2), (2, 2), (1, 1, 1, 1), (2, 2)),
]
# Beyond a single task.
LARGE: list[tuple[Any, ...]] = [
    ((3, 40, 41, 20), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    ((2, 70, 33, 19), (3, 3), (1, 2), (1, 1, 0, 2), (1, 1)),
    ((1, 150, 30, 9), (5, 2), (2, 1), (2, 0, 0, 0), (2, 1)),
]


def _settings(case: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("window", "strides", "padding", "dilation"), map(list, case[1:]), strict=True))


def _pooled(case: tuple[Any, ...]) -> tuple[int, ...]:
    return pooling.avg_pool(np.zeros(case[0]), **_settings(case)).shape


CASES = [
    case
    for each in POOLS + DILATED + LARGE
    for case in [
        Case("max_pool2d", pooling.max_pool, distinct(each[0]), exact=True, order=2, **_settings(each)),
        Case(
            "max_pool2d_gradient", lambda x, g, **rest: pooling.max_pool_gradient(x, g, **rest),
            distinct(each[0]), normal(_pooled(each)), exact=True, order=2, **_settings(each),
        ),
        Case(
            "max_pool2d_pick", pooling.pick, distinct(each[0]), normal(each[0], key=1), exact=True, order=2,
            **_settings(each),
        ),
    ]
] + [
    case
    for each in POOLS + [case for case in LARGE if case[4] == (1, 1)]
    for count_padding in (False, True)
    for case in [
        Case(
            "avg_pool2d", pooling.avg_pool, normal(each[0]), magnitudes=True, order=2,
            count_padding=count_padding, **_settings(each),
        ),
        Case(
            "avg_pool2d_gradient", pooling.avg_pool_gradient, normal(_pooled(each)), magnitudes=True, order=2,
            count_padding=count_padding, shape=list(each[0]), **_settings(each),
        ),
    ]
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_of_equal_ones_gets_the_derivative_and_the_first_nan_before_all(dtype: str) -> None:
    nan = np.nan
    x = np.array([[1, 3, 3, 0], [3, 2, nan, nan], [-np.inf] * 4, [-np.inf] * 4], dtype)
    x = np.repeat(x[None, :, :, None], 5, 3)
    y = ops.max_pool2d(x, 2)
    np.testing.assert_array_equal(y[0, :, :, 0], [[3, nan], [-np.inf, -np.inf]])
    settings = {"window": [2, 2], "strides": [2, 2], "padding": [0] * 4, "dilation": [1, 1]}
    gradient = apply("max_pool2d_gradient", x, np.ones_like(y), **settings)
    first = [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(gradient, np.repeat(np.array(first, dtype)[None, :, :, None], 5, 3))


def test_windows_that_overlap_add_up_at_their_common_largest() -> None:
    x = np.zeros((1, 3, 3, 2))
    x[0, 1, 1] = 1
    gradient = bp.grad(lambda v: ops.sum(ops.max_pool2d(v, 2, 1) * np.array([1.0, 10])))(x)
    assert gradient[0, 1, 1].tolist() == [4, 40]
    assert gradient.sum() == 44


@pytest.mark.parametrize(
    ("size", "strides", "window"), [(5, 2, 3), (6, 2, 3), (4, 3, 2), (7, 1, 4), (1, 1, 3)]
)
def test_same_has_as_many_windows_as_strides_begin_and_pads_the_end_first(
    size: int, strides: int, window: int
) -> None:
    x = np.arange(1.0, size + 1).reshape(1, 1, size, 1)
    count = -(-size // strides)
    total = max((count - 1) * strides + window - size, 0)
    before = total // 2
    want = [
        np.mean([v for v in range(i * strides - before, i * strides - before + window) if 0 <= v < size]) + 1
        for i in range(count)
    ]
    y = ops.avg_pool2d(x, (1, window), (1, strides), "same")
    np.testing.assert_allclose(y[0, 0, :, 0], want, rtol=1e-15)
    np.testing.assert_array_equal(
        ops.max_pool2d(x, (1, window), (1, strides), "same"),
        ops.max_pool2d(x, (1, window), (1, strides), (0, (before, total - before))),
    )


def test_padding_is_never_the_largest_and_counts_only_if_asked() -> None:
    x = np.full((1, 2, 2, 1), -3.0)
    assert ops.max_pool2d(x, 2, 2, 1).tolist() == x.tolist()
    assert ops.avg_pool2d(x, 2, 2, 1).tolist() == x.tolist()
    assert ops.avg_pool2d(x, 2, 2, 1, count_include_pad=True).tolist() == (x / 4).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_the_number_of_threads_changes_no_bit(case: tuple[Any, ...], dtype: str) -> None:
    graph, settings = Graph(), _settings(case)
    x, g = graph.input((case[0], dtype)), graph.input((_pooled(case), dtype))
    outputs = [
        graph.add("max_pool2d", x, **settings),
        graph.add("max_pool2d_gradient", x, g, **settings),
        graph.add("max_pool2d_pick", x, x, **settings),
        graph.add("avg_pool2d", x, **settings),
    ]
    if case[4] == (1, 1):
        outputs.append(graph.add("avg_pool2d_gradient", g, shape=list(case[0]), **settings))
    plan = graph.plan(*outputs)
    arrays = [normal(case[0]).astype(dtype), normal(_pooled(case)).astype(dtype)]
    one = [each.tobytes() for each in plan.run(None, arrays, threads=1)]
    for threads in (2, 3, 8):
        assert [each.tobytes() for each in plan.run(None, arrays, threads=threads)] == one


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", POOLS + DILATED + LARGE, ids=str)
def test_the_mask_of_relus_derivative_goes_into_the_gradient(case: tuple[Any, ...], dtype: str) -> None:
    graph, settings = Graph(), _settings(case)
    y, g = graph.input((case[0], dtype)), graph.input((_pooled(case), dtype))
    back = graph.add("max_pool2d_gradient", y, g, **settings)
    masked = graph.add("relu_gradient", back, y)
    arrays = [normal(case[0]).astype(dtype), normal(_pooled(case), key=1).astype(dtype)]
    arrays[0][arrays[0] < 0.5] = 0  # windows of zeros, too
    arrays[0][:, -1:, -1:] = np.nan
    fused, plain = graph.plan(masked), graph.plan(masked, back)
    assert [line.split()[0] for line in fused.instructions] == ["max_pool2d_gradient[relu_gradient]"]
    assert len(plain.instructions) == 2
    assert fused.run(None, arrays)[0].tobytes() == plain.run(None, arrays)[0].tobytes()


def test_the_mask_of_something_else_does_not_go_into_the_gradient() -> None:
    settings = _settings(POOLS[0])
    graph = Graph()
    y, other, g = graph.input(f64(*POOLS[0][0])), graph.input(f64(*POOLS[0][0])), graph.input(f64(2, 2, 3, 3))
    back = graph.add("max_pool2d_gradient", y, g, **settings)
    for gradient in (graph.add("relu_gradient", back, other), graph.add("relu_gradient", y, back)):
        names = [line.split()[0] for line in graph.plan(gradient).instructions]
        assert names == ["max_pool2d_gradient", "relu_gradient"]


def test_an_image_has_the_same_bits_in_any_batch() -> None:
    x = normal((5, 9, 11, 7)).astype("float32")
    for function in (ops.max_pool2d, ops.avg_pool2d):
        assert function(x, 3, 2, "same")[2:3].tobytes() == function(x[2:3], 3, 2, "same").tobytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 3}, ValueError, "a window of 3 x 3 is larger than the input of 2 x 5$"),
        ({"size": 2, "dilation": 2}, ValueError, "a window of 2 x 2 with dilation 2 x 2 is larger than"),
        ({"size": (4, 1), "padding": ((1, 0), 0)}, ValueError, "the input of 2 x 5, 3 x 5 with padding"),
        ({"size": 1, "padding": 1}, ValueError, "window 0 over an axis of 2 with padding 1 and 1 has no"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": (2, 2, 2)}, ValueError, "size must be an integer or one for each of 2 axes"),
        ({"size": 2.0}, TypeError, "size must be an integer"),
        ({"size": 1, "strides": 0}, ValueError, "strides must be at least 1"),
        ({"size": 1, "strides": True}, TypeError, "strides must be an integer"),
        ({"size": 1, "dilation": -1}, ValueError, "dilation must be at least 1"),
        ({"size": 1, "padding": "full"}, ValueError, 'padding must be "valid", "same", an integer, or'),
        ({"size": 1, "padding": -1}, ValueError, "padding must be at least 0"),
        ({"size": 1, "padding": ((1, 2, 3), 0)}, ValueError, "padding of an axis must be an integer or one"),
        ({"size": 1, "padding": 1.5}, ValueError, "padding must be"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_named(options: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^max_pool2d: .*{message}"):
        ops.max_pool2d(np.ones((1, 2, 5, 1)), **options)


def test_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^avg_pool2d: expected input of shape .*got \(3, 4\)"):
        ops.avg_pool2d(np.ones((3, 4)), 2)
    with pytest.raises(TypeError, match="^max_pool2d: input 0 must be float32 or float64, not int64"):
        ops.max_pool2d(np.ones((1, 2, 2, 1), np.int64), 2)
    with pytest.raises(ValueError, match="^max_pool2d: a window of 2 x 1 is larger than the input of 0 x 3"):
        ops.max_pool2d(np.ones((1, 0, 3, 1)), (2, 1), padding="same")
    with pytest.raises(TypeError, match="^avg_pool2d: count_include_pad must be True or False"):
        ops.avg_pool2d(np.ones((1, 2, 2, 1)), 2, count_include_pad=1)  # type: ignore[arg-type]


IMAGE = f64(1, 4, 4, 1)
SETTINGS: dict[str, Any] = {"window": [2, 2], "strides": [2, 2], "padding": [0] * 4, "dilation": [1, 1]}


@pytest.mark.parametrize(
    ("op", "types", "attributes", "error", "message"),
    [
        ("max_pool2d", [f64(2, 3)], {}, ValueError, r"expected input of shape .*got \(2, 3\)"),
        ("max_pool2d", [f64(1, 1, 4, 1)], {}, ValueError, "a window over 2 elements is larger"),
        ("max_pool2d", [IMAGE], {"window": [2]}, ValueError, "window needs 2 numbers of at least 1"),
        ("max_pool2d", [IMAGE], {"window": [2**40] * 2}, ValueError, "window needs 2 numbers"),
        ("max_pool2d", [IMAGE], {"padding": [0, -1, 0, 0]}, ValueError, "padding needs 4 numbers"),
        ("max_pool2d", [i64(1, 4, 4, 1)], {}, TypeError, "input 0 must be float32 or float64"),
        ("avg_pool2d", [IMAGE], {"padding": [0, 9, 0, 0]}, ValueError, "has no element inside"),
        ("avg_pool2d_gradient", [f64(1, 2, 2, 1)], {"shape": [1, 4, 6, 1]}, ValueError, "must have shape"),
        (
            "avg_pool2d_gradient", [f64(1, 1, 1, 1)], {"shape": [1, 3, 3, 1], "dilation": [2, 2]}, ValueError,
            "dilation must be 1",
        ),
        ("max_pool2d_gradient", [IMAGE, IMAGE], {}, ValueError, "input 1 must have shape"),
        ("max_pool2d_gradient", [IMAGE, f32(1, 2, 2, 1)], {}, TypeError, "dtypes"),
        ("max_pool2d_pick", [IMAGE, f64(1, 4, 4, 2)], {}, ValueError, "input 1 must have shape"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_the_core_raise_and_name_the_op(
    op: str, types: list, attributes: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        infer(op, *types, **{**SETTINGS, **attributes})


def test_padding_in_words_and_numbers() -> None:
    assert windows.check_padding("x", 2, 2) == ((2, 2), (2, 2))
    assert windows.check_padding("x", (1, (0, 3)), 2) == ((1, 1), (0, 3))
    assert windows.check_padding("x", ((2, 0),), 1) == ((2, 0),)
    sizes: Any = ((8,), (3,), (2,), (2,))
    assert windows.explicit_padding("x", "valid", *sizes) == ((0, 0),)
    assert windows.explicit_padding("x", "same", *sizes) == ((1, 2),)
    assert windows.windows("x", (8,), (3,), (2,), ((1, 2),), (2,)) == (4,)
