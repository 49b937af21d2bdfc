"""conv2d and its two gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bpcore.symbolic.operators import apply
from tests.support import convolution
from tests.support.check_op import Case
from tests.support.draw import normal, positive
from tests.support.graphs import Graph, f32, f64, i64, infer

if TYPE_CHECKING:
    from tests.support.graphs import Type

Pair = tuple[int, int]
# x (batch, height, width, channels), kernel, filters, strides, padding, dilation, groups
Conv = tuple[tuple[int, int, int, int], Pair, int, Pair, tuple[int, int, int, int], Pair, int]

NONE = (0, 0, 0, 0)
SMALL: list[Conv] = [
    ((1, 1, 1, 1), (1, 1), 1, (1, 1), NONE, (1, 1), 1),
    ((1, 3, 1, 7), (3, 4), 1, (4, 1), (0, 0, 0, 4), (1, 1), 1),
    ((2, 1, 1, 2), (1, 1), 2, (3, 3), (1, 1, 0, 1), (1, 1), 1),
    ((2, 4, 5, 1), (3, 3), 2, (1, 1), NONE, (1, 1), 1),
    ((2, 4, 4, 3), (1, 1), 2, (1, 1), NONE, (1, 1), 1),
    ((2, 5, 4, 2), (1, 1), 2, (2, 3), NONE, (1, 1), 1),
    ((3, 3, 2, 2), (3, 2), 4, (1, 1), NONE, (1, 1), 1),  # the kernel covers the image
    ((1, 3, 2, 2), (3, 2), 3, (1, 1), (1, 0, 0, 2), (1, 1), 1),
    ((2, 5, 4, 2), (3, 3), 2, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 4, 5, 2), (2, 3), 2, (2, 1), (0, 1, 2, 0), (1, 1), 1),
    ((1, 6, 5, 1), (3, 2), 2, (2, 2), (1, 1, 0, 1), (1, 1), 1),
    ((1, 7, 5, 1), (2, 2), 2, (3, 4), NONE, (1, 1), 1),  # some of the input is never seen
    ((1, 5, 7, 2), (2, 3), 1, (1, 1), NONE, (2, 3), 1),
    ((1, 7, 6, 1), (3, 3), 2, (2, 2), (2, 2, 1, 1), (2, 2), 1),  # residue classes that no tap meets
    ((1, 9, 6, 1), (3, 2), 1, (4, 3), (3, 2, 2, 2), (2, 3), 1),
    ((1, 3, 4, 4), (2, 2), 6, (1, 1), (1, 0, 0, 1), (1, 1), 2),
    ((1, 4, 4, 3), (2, 2), 6, (2, 1), (1, 1, 1, 1), (1, 2), 3),
    ((1, 4, 5, 3), (3, 2), 3, (1, 1), (1, 1, 1, 0), (1, 1), 3),  # depthwise
    ((1, 5, 5, 2), (2, 2), 2, (2, 2), (1, 0, 1, 0), (2, 1), 2),
    ((2, 1, 9, 2), (1, 3), 2, (1, 2), (0, 0, 2, 0), (1, 2), 1),  # a signal
    ((1, 2, 2, 1), (2, 2), 1, (1, 1), (4, 3, 3, 5), (1, 1), 1),  # outputs that see nothing but padding
    ((2, 4, 6, 2), (2, 3), 3, (2, 3), NONE, (1, 1), 1),  # windows side by side
    ((2, 5, 6, 1), (2, 3), 3, (1, 3), NONE, (1, 1), 1),
    ((2, 6, 3, 1), (2, 3), 2, (2, 1), (0, 0, 0, 0), (1, 1), 1),
    ((1, 3, 4, 1), (3, 2), 2, (1, 2), (0, 2, 0, 1), (1, 1), 1),
    ((1, 3, 2, 1), (2, 2), 1, (9, 7), (1, 0, 0, 1), (1, 1), 1),  # strides beyond the image
    ((2, 8, 11, 2), (2, 3), 2, (5, 7), (1, 0, 2, 1), (1, 1), 1),  # strides beyond the kernel
    ((2, 1, 23, 1), (1, 2), 3, (1, 9), (0, 0, 0, 4), (1, 4), 1),
    ((1, 9, 12, 2), (2, 2), 2, (4, 6), (0, 1, 1, 0), (6, 3), 1),  # dilation and stride have a common factor
    ((1, 8, 9, 1), (3, 2), 2, (3, 4), (1, 0, 2, 0), (3, 4), 1),  # all taps meet one class
    ((1, 11, 10, 4), (2, 2), 6, (6, 4), (2, 2, 0, 1), (5, 6), 2),
    ((1, 0, 3, 2), (2, 2), 1, (2, 1), (2, 1, 0, 0), (1, 1), 1),  # nothing but padding
    ((0, 4, 4, 2), (2, 2), 3, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((0, 4, 4, 2), (2, 2), 2, (2, 2), NONE, (1, 1), 2),
    ((0, 8, 9, 16), (3, 3), 16, (1, 1), NONE, (1, 1), 1),  # by Winograd's algorithm
]
# Of more than one block, panel, piece or task in each of the products.
LARGE: list[Conv] = [
    ((3, 28, 28, 1), (3, 3), 33, (1, 1), NONE, (1, 1), 1),
    ((5, 13, 12, 8), (5, 5), 16, (1, 1), (2, 1, 0, 3), (1, 1), 1),
    ((3, 26, 26, 32), (3, 3), 64, (1, 1), NONE, (1, 1), 1),
    ((2, 15, 14, 70), (3, 3), 100, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((2, 21, 30, 17), (3, 4), 40, (2, 3), (1, 0, 2, 2), (1, 1), 1),
    ((2, 14, 15, 24), (3, 2), 36, (1, 2), (2, 2, 1, 1), (2, 1), 3),
    ((3, 20, 19, 37), (3, 3), 37, (1, 1), (1, 1, 1, 1), (1, 1), 37),
    ((3, 20, 19, 21), (5, 2), 21, (2, 1), (2, 0, 1, 1), (1, 3), 21),
    ((2, 12, 13, 6), (3, 3), 18, (1, 1), (1, 1, 1, 1), (1, 1), 6),
    ((1, 5, 4, 192), (3, 3), 6, (1, 1), NONE, (1, 1), 2),  # groups of several pieces each
    ((2, 1, 3000, 9), (1, 5), 20, (1, 1), (0, 0, 4, 0), (1, 1), 1),
    ((2, 1, 700, 400), (1, 3), 24, (1, 1), NONE, (1, 1), 1),
    ((7, 11, 9, 40), (1, 1), 70, (1, 1), NONE, (1, 1), 1),
    ((3, 30, 32, 3), (6, 8), 40, (6, 8), NONE, (1, 1), 1),
    ((300, 4, 3, 5), (4, 3), 20, (1, 1), NONE, (1, 1), 1),
    ((70, 6, 6, 3), (3, 3), 8, (1, 1), NONE, (1, 1), 1),
    # Few filters, or few channels: outputs side by side share a vector, the last may be fewer.
    ((9, 28, 28, 1), (5, 5), 8, (1, 1), NONE, (1, 1), 1),
    ((2, 14, 17, 40), (5, 5), 7, (1, 1), (2, 2, 0, 2), (1, 1), 1),
    ((2, 14, 15, 5), (5, 5), 66, (1, 1), (0, 0, 1, 0), (1, 1), 1),
    ((2, 9, 31, 3), (3, 7), 4, (1, 2), (1, 1, 3, 3), (2, 1), 1),
    ((1, 1, 9000, 2), (1, 9), 2, (1, 1), (0, 0, 4, 4), (1, 1), 1),
    # By Winograd's algorithm: outputs without a neighbour, vectors that are not full, several panels.
    ((3, 9, 11, 33), (3, 3), 50, (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 7, 7, 300), (3, 3), 48, (1, 1), (0, 1, 2, 0), (1, 1), 1),
    ((1, 8, 300, 40), (3, 3), 130, (1, 1), NONE, (1, 1), 1),
    # Strides beyond the kernel: what no tap meets is cleared, in several tasks.
    ((2, 60, 70, 24), (2, 3), 40, (9, 16), (3, 0, 0, 5), (2, 4), 1),
    # Small images: the way back leaves out the taps that an output's images don't meet.
    ((19, 9, 7, 3), (5, 5), 16, (1, 1), NONE, (1, 1), 1),
    ((9, 6, 8, 80), (5, 5), 70, (1, 1), (0, 1, 0, 0), (1, 1), 1),
    ((23, 9, 8, 33), (4, 4), 20, (2, 2), (1, 0, 0, 0), (1, 1), 1),
]  # fmt: skip


def _window(conv: Conv) -> dict[str, Any]:
    _, _, _, strides, padding, dilation, groups = conv
    return {"strides": list(strides), "padding": list(padding), "dilation": list(dilation), "groups": groups}


def _output(conv: Conv) -> tuple[int, ...]:
    x, kernel, filters, _, padding, _, _ = conv
    slid = convolution.Window(kernel, **_window(conv))
    return (x[0], *slid.counts(np.zeros((1, x[1] + sum(padding[:2]), x[2] + sum(padding[2:]), 1))), filters)


def _weight(conv: Conv) -> tuple[int, ...]:
    x, kernel, filters, *_, groups = conv
    return (*kernel, x[3] // groups, filters)


def _forward(conv: Conv, bias: bool = False, activation: str = "") -> Case:
    x, weight, shift = normal(conv[0]), normal(_weight(conv), key=1), normal((conv[2],), key=2)
    if activation == "relu":  # sums of one sign for each filter, away from the kink at zero
        x, weight, shift = positive(conv[0]), np.abs(weight) * np.sign(shift), shift + np.sign(shift)
    weight /= np.sqrt(np.prod(weight.shape[:-1]))
    errors = {"magnitudes": True, "epsilons": 32} if activation in ("", "relu") else {"floor": 4}
    return Case(
        "conv2d", convolution.conv2d, x, weight, *([shift] if bias else []), activation=activation,
        order=1 if activation == "relu" else 2, **errors, **_window(conv),
    )  # fmt: skip


def _gradients(conv: Conv) -> list[Case]:
    x, weight, g = normal(conv[0]), normal(_weight(conv), key=1), normal(_output(conv), key=2)
    settings = {"magnitudes": True, "epsilons": 32, "order": 2, **_window(conv)}
    size, kernel = list(conv[0][1:3]), list(conv[1])
    return [
        Case("conv2d_input_gradient", convolution.conv2d_input_gradient, g, weight, size=size, **settings),
        Case("conv2d_weight_gradient", convolution.conv2d_weight_gradient, x, g, kernel=kernel, **settings),
        Case(
            "conv2d_parameter_gradients", convolution.conv2d_parameter_gradients, x, g, kernel=kernel,
            **settings,
        ),
    ]  # fmt: skip


CASES = [
    *(_forward(conv) for conv in SMALL + LARGE),
    *(case for conv in SMALL + LARGE for case in _gradients(conv)),
    *(
        _forward(conv, bias, activation)
        for conv in (SMALL[7], SMALL[15], LARGE[0], LARGE[3], LARGE[6], LARGE[9])
        for bias, activation in (
            (True, ""),
            (True, "relu"),
            (False, "relu"),
            (True, "sigmoid"),
            (True, "tanh"),
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("conv", [LARGE[i] for i in (1, 3, 4, 6, 10, 16, 21, 25, 26, 27)], ids=str)
def test_an_image_has_the_same_bits_alone(conv: Conv, dtype: str) -> None:
    x, weight, g = (
        v.astype(dtype) for v in (normal(conv[0]), normal(_weight(conv), key=1), normal(_output(conv), key=2))
    )
    size = list(conv[0][1:3])
    y = apply("conv2d", x, weight, **_window(conv))
    back = apply("conv2d_input_gradient", g, weight, size=size, **_window(conv))
    for i in range(len(x)):
        alone = apply("conv2d", x[i : i + 1], weight, **_window(conv))
        assert alone.tobytes() == y[i : i + 1].tobytes()
        alone = apply("conv2d_input_gradient", g[i : i + 1], weight, size=size, **_window(conv))
        assert alone.tobytes() == back[i : i + 1].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("conv", LARGE, ids=str)
def test_the_gradient_by_the_bias_comes_along_and_threads_change_no_bit(conv: Conv, dtype: str) -> None:
    graph = Graph()
    x, g = graph.input((conv[0], dtype)), graph.input((_output(conv), dtype))
    settings = {"kernel": list(conv[1]), **_window(conv)}
    record = graph.plan(graph.add("conv2d_parameter_gradients", x, g, **settings))
    alone = graph.plan(graph.add("conv2d_weight_gradient", x, g, **settings))
    arrays = [normal(conv[0]).astype(dtype), normal(_output(conv), key=2).astype(dtype)]
    (found,) = record.run(None, arrays, threads=1)
    (weight,) = alone.run(None, arrays, threads=1)
    assert found[: weight.size].tobytes() == weight.tobytes()
    for threads in (2, 3, 8):
        assert record.run(None, arrays, threads=threads)[0].tobytes() == found.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(3000, 4000), (1, 1 << 22)])
def test_a_stride_of_thousands_costs_what_the_kernels_taps_do(size: Pair, dtype: str) -> None:
    """Its residue classes are millions, of which no tap meets any but six, or two."""
    kernel = (2, 3) if size[0] > 1 else (1, 2)
    strides, dilation = [8192, 1 << 27], [700, 1100]
    weight, g = normal((*kernel, 1, 1), key=1).astype(dtype), np.full((1, 1, 1, 1), 2, dtype)
    found = apply(
        "conv2d_input_gradient", g, weight, size=list(size), strides=strides, padding=[0] * 4,
        dilation=dilation, groups=1,
    )  # fmt: skip
    rows, columns = (
        slice(0, (count - 1) * step + 1, step) for count, step in zip(kernel, dilation, strict=True)
    )
    np.testing.assert_array_equal(found[0, rows, columns], 2 * weight[..., 0])
    assert np.count_nonzero(found) == weight.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("conv", LARGE, ids=str)
def test_threads_change_no_bit_of_the_input_gradient(conv: Conv, dtype: str) -> None:
    graph = Graph()
    g, weight = graph.input((_output(conv), dtype)), graph.input((_weight(conv), dtype))
    size = list(conv[0][1:3])
    plan = graph.plan(graph.add("conv2d_input_gradient", g, weight, size=size, **_window(conv)))
    arrays = [normal(_output(conv)).astype(dtype), normal(_weight(conv), key=1).astype(dtype)]
    (found,) = plan.run(None, arrays, threads=1)
    for threads in (2, 3, 8):
        assert plan.run(None, arrays, threads=threads)[0].tobytes() == found.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 20])
def test_nan_reaches_the_windows_that_see_it(channels: int) -> None:
    x = np.ones((2, 6, 7, channels))
    x[1, 2, 3, 0] = np.nan
    for groups in {1, channels}:
        weight = np.ones((2, 2, channels // groups, channels))
        y = apply("conv2d", x, weight, strides=[1, 1], padding=[1, 1, 1, 1], dilation=[1, 1], groups=groups)
        seen = np.zeros(y.shape, bool)
        seen[1, 2:4, 3:5, : 1 if groups > 1 else None] = True
        found = np.isnan(y)
        if channels == 20 or groups > 1:
            np.testing.assert_array_equal(found, seen)
        else:  # outputs that share a vector with one of those are not safe
            assert found[seen].all()
            assert not found[0].any()
            assert not found[1, [0, 1, 4, 5, 6]].any()


def test_nan_reaches_the_windows_that_see_it_by_winograds_algorithm() -> None:
    x = np.ones((2, 8, 12, 20), "float32")
    x[1, 3, 5, 0] = np.nan
    y = apply("conv2d", x, np.ones((3, 3, 20, 20), "float32"), **WINDOW)
    assert np.isnan(y[1, 1:4, 3:6]).all()
    assert not np.isnan(y[0]).any()
    assert not np.isnan(y[1][:, [0, 1, 6, 7, 8, 9]]).any()  # tiles that don't see it


# Fusion

WINDOW: dict[str, Any] = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_bias_and_activation_spelled_out_become_one_instruction(activation: str) -> None:
    graph = Graph()
    arrays = [normal((2, 5, 5, 3)), normal((3, 3, 3, 4), key=1), normal((4,), key=2)]
    x, weight, bias = (graph.input(f64(*array.shape)) for array in arrays)
    y = graph.add(activation, graph.add("add", graph.add("conv2d", x, weight, **WINDOW), bias))
    plan = graph.plan(y)
    assert plan.instructions == [f"conv2d[{activation}] (2, 3, 3, 4)"]
    want = convolution.conv2d(*arrays, activation=activation, **WINDOW)
    np.testing.assert_allclose(plan.run(None, arrays)[0], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "strides", "size", "channels"),
    [
        ("float64", 1, 4, 4),
        ("float64", 2, 9, 4),
        ("float64", 5, 14, 4),
        ("float32", 1, 9, 4),
        ("float32", 1, 9, 20),
    ],
)
def test_the_mask_of_relus_derivative_goes_into_the_input_gradient(
    dtype: str, strides: int, size: int, channels: int
) -> None:
    outputs = (size - 3) // strides + 1
    shapes = (2, size, size, channels), (3, 3, channels, 20), (2, outputs, outputs, 20)
    y, weight, g = (normal(shape, key=key).astype(dtype) for key, shape in enumerate(shapes))
    graph = Graph()
    inputs = [graph.input((shape, dtype)) for shape in shapes]
    window = {**WINDOW, "strides": [strides, strides]}
    back = graph.add("conv2d_input_gradient", inputs[2], inputs[1], size=[size, size], **window)
    plan = graph.plan(graph.add("relu_gradient", back, inputs[0]))
    assert plan.instructions == [f"conv2d_input_gradient[relu_gradient] (2, {size}, {size}, {channels})"]
    plain = convolution.conv2d_input_gradient(
        g.astype(float), weight.astype(float), size=[size, size], **window
    )
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    want = np.where(y > 0, plain, 0)
    np.testing.assert_allclose(plan.run(None, [y, weight, g])[0], want, rtol=tolerance, atol=tolerance)


def test_a_layers_parameter_gradients_are_one_instruction() -> None:
    graph = Graph()
    types = f64(2, 5, 5, 3), f64(3, 3, 3, 4), f64(4)
    x, weight, bias = (graph.input(each) for each in types)
    loss = graph.sum(graph.add("conv2d", x, weight, bias, activation="relu", **WINDOW))
    names = [line.split()[0] for line in graph.plan(*graph.core.gradients(loss, [weight, bias])).instructions]
    assert names.count("conv2d_parameter_gradients") == 1
    assert not {"conv2d_weight_gradient", "sum"} & set(names)
    for parameter, op in ((weight, "conv2d_weight_gradient"), (bias, "sum")):
        plan = graph.plan(*graph.core.gradients(loss, [parameter]))
        assert op in {line.split()[0] for line in plan.instructions}


# What is refused

X, W = f64(2, 5, 6, 4), f64(3, 3, 4, 8)


@pytest.mark.parametrize(
    ("types", "changes", "error", "message"),
    [
        ([f64(5, 6, 4), W], {}, ValueError, r"input must be of shape \(batch, .*\), got \(5, 6, 4\)"),
        ([X, f64(3, 3, 4)], {}, ValueError, r"weight must be of shape \(kernel height, .*got \(3, 3, 4\)"),
        ([X, f64(3, 0, 4, 8)], {}, ValueError, "weight must be of shape .*none zero"),
        ([X, f64(3, 3, 3, 8)], {}, ValueError, r"\(2, 5, 6, 4\) does not fit weight of shape .* 3 channels"),
        (
            [X, f64(6, 3, 4, 8)],
            {},
            ValueError,
            "over 6 positions of the height does not fit into an input of 5",
        ),
        ([X, W], {"dilation": [1, 4]}, ValueError, "reaches over 9 positions of the width"),
        ([X, f64(3, 8, 4, 8)], {"padding": [0, 0, 0, 1]}, ValueError, "input of 6 and a padding of 1"),
        ([X, W], {"groups": 3}, ValueError, "4 channels can't be cut into 3 groups"),
        ([X, f64(3, 3, 2, 7)], {"groups": 2}, ValueError, "7 filters can't be cut into 2 groups"),
        ([X, W], {"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ([X, W], {"strides": [1, 0]}, ValueError, "strides must be at least 1 .*got 0"),
        ([X, W], {"strides": [1]}, ValueError, "strides must be 2 numbers, got 1"),
        ([X, W], {"padding": [0, -1, 0, 0]}, ValueError, "padding must be at least 0 .*got -1"),
        ([X, W], {"padding": [0, 1 << 40, 0, 0]}, ValueError, "padding must be .*at most"),
        ([X, W], {"dilation": [0, 1]}, ValueError, "dilation must be at least 1 .*got 0"),
        ([X, W, f64(4)], {}, ValueError, r"bias of shape \(4,\) does not fit .* must be \(8,\)"),
        ([X, W], {"activation": "gelu"}, ValueError, "activation must be .* not gelu"),
        ([X, f32(3, 3, 4, 8)], {}, TypeError, "dtypes float64 and float32 differ"),
        ([X, W, f32(8)], {}, TypeError, "dtypes float64 and float32 differ"),
        ([i64(2, 5, 6, 4), i64(3, 3, 4, 8)], {}, TypeError, "input 0 must be float32 or float64"),
        ([X], {}, ValueError, "expected 2 to 3 inputs, got 1"),
    ],
)
def test_wrong_arguments_of_conv2d(
    types: list[Type], changes: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=f"{message}"):
        infer("conv2d", *types, **{**WINDOW, **changes})


@pytest.mark.parametrize(
    ("op", "types", "changes", "message"),
    [
        ("input", [f64(2, 3, 4, 8), f64(3, 3, 4)], {}, "the weight must be of shape"),
        ("input", [f64(2, 3, 8), W], {}, "the gradient must be of shape"),
        ("input", [f64(2, 3, 5, 8), W], {}, r"the gradient must have the output's shape \(2, 3, 4, 8\)"),
        ("input", [f64(2, 3, 4, 8), W], {"size": [5]}, "size must be two numbers"),
        ("input", [f64(2, 3, 4, 8), W], {"size": [2, 6]}, "does not fit into an input of 2"),
        ("weight", [X, f64(2, 3, 4)], {}, "the gradient must be of shape"),
        ("weight", [f64(2, 5, 6), f64(2, 3, 4, 8)], {}, "the input must be of shape"),
        ("weight", [X, f64(2, 4, 4, 8)], {}, r"the gradient must have the output's shape \(2, 3, 4, 8\)"),
        ("weight", [X, f64(2, 3, 4, 8)], {"kernel": [3]}, "kernel must be two numbers"),
        ("weight", [X, f64(2, 3, 4, 8)], {"kernel": [0, 3]}, "none zero"),
        ("weight", [X, f64(2, 3, 4, 9)], {"groups": 2}, "9 filters can't be cut into 2 groups"),
    ],
)
def test_wrong_arguments_of_the_gradients(
    op: str, types: list[Type], changes: dict[str, Any], message: str
) -> None:
    name = f"conv2d_{op}_gradient"
    extra = {"size": [5, 6]} if op == "input" else {"kernel": [3, 3]}
    with pytest.raises(ValueError, match=f"^{name}: .*{message}"):
        infer(name, *types, **{**WINDOW, **extra, **changes})
