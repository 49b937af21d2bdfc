"""ops.conv2d, conv1d and their transposes: how settings are read, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from tests.support import convolution
from tests.support.draw import normal


@pytest.mark.parametrize("padding", ["valid", "same", 1, (1, 0), ((2, 0), (0, 1))])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), ((1, 3), 1), (1, (2, 1))])
def test_conv2d_reads_its_settings(padding: Any, strides: Any, dilation: Any) -> None:
    x, weight, bias = normal((2, 7, 6, 4)), normal((3, 2, 2, 6), key=1), normal((6,), key=2)
    y = ops.conv2d(x, weight, bias, strides=strides, padding=padding, dilation=dilation, groups=2)
    steps, apart = np.broadcast_to(strides, 2).tolist(), np.broadcast_to(dilation, 2).tolist()
    if padding == "valid":
        sides = [0, 0, 0, 0]
    elif padding == "same":
        sides = []
        for size, k, step, d in zip((7, 6), (3, 2), steps, apart, strict=True):
            total = max((-(-size // step) - 1) * step + (k - 1) * d + 1 - size, 0)
            sides += [total // 2, total - total // 2]
        assert y.shape[1:3] == (-(-7 // steps[0]), -(-6 // steps[1]))
    else:
        pairs = padding if np.ndim(padding) == 2 else [(side, side) for side in np.broadcast_to(padding, 2)]
        sides = [int(side) for pair in pairs for side in pair]
    want = convolution.conv2d(x, weight, bias, strides=steps, padding=sides, dilation=apart, groups=2)
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)


def test_conv1d_is_conv2d_of_height_one() -> None:
    x, weight, bias = normal((3, 11, 4)), normal((3, 2, 6), key=1), normal((6,), key=2)
    settings = {"groups": 2, "activation": "tanh"}
    y = ops.conv1d(x, weight, bias, strides=2, padding=[(4, 1)], dilation=2, **settings)
    image = ops.conv2d(
        x[:, None], weight[None], bias, strides=(1, 2), padding=(0, (4, 1)), dilation=(1, 2), **settings
    )
    np.testing.assert_array_equal(y, image[:, 0])


def test_an_output_of_a_causal_conv1d_sees_nothing_later() -> None:
    weight = normal((3, 2, 2), key=1)
    slopes = bp.grad(lambda x: ops.sum(ops.conv1d(x, weight, padding=[(4, 0)], dilation=2)[:, 5]))(
        normal((1, 9, 2))
    )
    assert np.abs(slopes[0, [1, 3, 5]]).min() > 0
    assert not slopes[0, [0, 2, 4, 6, 7, 8]].any()


# x, kernel, filters, strides, padding, output_padding, dilation, groups
TRANSPOSED: list[tuple[Any, ...]] = [
    ((2, 3, 4, 2), (3, 3), 3, (1, 1), "valid", 0, 1, 1),
    ((2, 3, 4, 2), (3, 2), 4, (2, 3), "valid", (1, 2), 1, 2),
    ((1, 3, 2, 4), (3, 3), 4, (2, 2), ((1, 0), (1, 1)), (0, 1), 2, 4),
    ((1, 3, 2, 1), (2, 5), 2, (3, 2), "same", 0, 1, 1),
    ((1, 1, 1, 3), (4, 4), 2, (1, 1), 1, 0, 1, 1),
    ((1, 2, 2, 2), (2, 1), 2, (5, 4), "valid", (2, 3), (2, 1), 1),
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_a_transposed_convolution_is_the_transpose_of_a_convolution(case: tuple[Any, ...]) -> None:
    shape, kernel, filters, strides, padding, extra, dilation, groups = case
    x, weight = normal(shape), normal((*kernel, filters // groups, shape[-1]), key=1)
    settings = {"strides": strides, "dilation": dilation, "groups": groups}
    y = ops.conv_transpose2d(x, weight, padding=padding, output_padding=extra, **settings)
    if padding == "same":
        assert y.shape == (shape[0], shape[1] * strides[0], shape[2] * strides[1], filters)
    other = normal(y.shape, key=2)
    forward = ops.conv2d(other, weight, padding=padding, **settings)
    assert forward.shape == x.shape
    np.testing.assert_allclose(np.sum(forward * x), np.sum(other * y), rtol=1e-12)
    bp.check_gradients(
        lambda a, b, c: ops.conv_transpose2d(
            a, b, c, padding=padding, output_padding=extra, activation="tanh", **settings
        ),
        x, weight, normal((filters,), key=3),
    )  # fmt: skip


def test_conv_transpose1d_is_conv_transpose2d_of_height_one() -> None:
    x, weight, bias = normal((3, 5, 4)), normal((3, 1, 4), key=1), normal((2,), key=2)
    settings = {"groups": 2, "activation": "sigmoid"}
    y = ops.conv_transpose1d(x, weight, bias, strides=3, padding=1, output_padding=2, **settings)
    image = ops.conv_transpose2d(
        x[:, None], weight[None], bias, strides=(1, 3), padding=(0, 1), output_padding=(0, 2), **settings
    )
    np.testing.assert_array_equal(y, image[:, 0])
    assert y.shape == (3, 15, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.conv2d(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1))),
            ValueError,
            r"^conv2d: expected input of shape \(batch, height",
        ),
        (
            lambda: ops.conv1d(np.ones((1, 5, 5, 1)), np.ones((3, 1, 1))),
            ValueError,
            r"^conv1d: expected input of shape \(batch, time",
        ),
        (
            lambda: ops.conv1d(np.ones((1, 5, 1)), np.ones((3, 1))),
            ValueError,
            r"^conv1d: the weight must be of shape \(kernel, channels / groups, filters\)",
        ),
        (
            lambda: ops.conv1d(np.ones((1, 2, 1)), np.ones((3, 1, 1))),
            ValueError,
            "^conv1d: .*larger than the input of 2",
        ),
        (lambda: _conv(padding="full"), ValueError, '^conv2d: padding must be "valid", "same"'),
        (lambda: _conv(padding=-1), ValueError, "^conv2d: padding must be at least 0"),
        (lambda: _conv(strides=0), ValueError, "^conv2d: strides must be at least 1"),
        (lambda: _conv(strides=1.5), TypeError, "^conv2d: strides must be an integer"),
        (
            lambda: _conv(dilation=(1, 2, 3)),
            ValueError,
            "^conv2d: dilation must be an integer or one for each",
        ),
        (lambda: _conv(groups=True), TypeError, "^conv2d: groups must be an integer"),
        (lambda: _conv(groups=2), ValueError, "^conv2d: 1 channels can't be cut into 2 groups"),
        (
            lambda: _conv(activation="gelu"),
            ValueError,
            "^conv2d: activation must be None, relu, sigmoid or tanh",
        ),
        (lambda: _transpose(activation="gelu"), ValueError, "^conv_transpose2d: activation must be None"),
        (
            lambda: _transpose(output_padding=1),
            ValueError,
            "^conv_transpose2d: output_padding must be below the stride, 1, got 1",
        ),
        (
            lambda: _transpose(output_padding=-1),
            ValueError,
            "^conv_transpose2d: output_padding must be at least 0",
        ),
        (
            lambda: _transpose(strides=2, padding="same", output_padding=1),
            ValueError,
            '^conv_transpose2d: output_padding must be 0 with padding "same"',
        ),
        (
            lambda: _transpose(padding=4),
            ValueError,
            r"^conv_transpose2d: nothing is left of an input of \(5, 5\)",
        ),
        (
            lambda: _transpose(bias=np.ones(3)),
            ValueError,
            r"^conv_transpose2d: bias must be of shape \(1,\), got \(3,\)",
        ),
        (
            lambda: _transpose(weight=np.ones((3, 3, 1, 2))),
            ValueError,
            "^conv_transpose2d: .*it must have 2 channels",
        ),
    ],
)
def test_wrong_arguments_raise_and_name_the_function(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def _conv(**settings: Any) -> Any:
    return ops.conv2d(np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1)), **settings)


def _transpose(weight: Any = None, bias: Any = None, **settings: Any) -> Any:
    kernel = np.ones((3, 3, 1, 1)) if weight is None else weight
    return ops.conv_transpose2d(np.ones((1, 5, 5, 1)), kernel, bias, **settings)
