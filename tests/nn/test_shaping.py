"""Layers that move elements, and modules made of modules: values, derivatives, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support.draw import normal


def _bilinear(x: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Pixel by pixel: the weighted mean of the neighbours of its place among the old ones."""
    for axis, factor in enumerate(factors, start=1):
        size, planes = x.shape[axis], []
        for i in range(size * factor):
            place = min(max((i + 0.5) / factor - 0.5, 0.0), size - 1.0)
            low = int(place)
            high = min(low + 1, size - 1)
            planes.append(x.take(low, axis) * (1 - place + low) + x.take(high, axis) * (place - low))
        x = np.stack(planes, axis)
    return x


def _nearest(x: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    for axis, factor in enumerate(factors, start=1):
        x = x.repeat(factor, axis)
    return x


CASES: list[tuple[Any, tuple[int, ...], Any]] = [
    (nn.Flatten(), (2, 3, 4), lambda x: x.reshape(2, 12)),
    (nn.Flatten(), (3,), lambda x: x.reshape(3, 1)),
    (nn.Flatten(), (0, 3, 4), lambda x: x.reshape(0, 12)),
    (nn.Reshape((4, -1)), (2, 3, 8), lambda x: x.reshape(2, 4, 6)),
    (nn.Reshape(6), (2, 3, 2), lambda x: x.reshape(2, 6)),
    (nn.Permute((2, 1)), (2, 3, 4), lambda x: x.transpose(0, 2, 1)),
    (nn.Permute((3, 1, 2)), (2, 3, 4, 5), lambda x: x.transpose(0, 3, 1, 2)),
    (nn.ZeroPadding1D(2), (2, 3, 4), lambda x: np.pad(x, ((0, 0), (2, 2), (0, 0)))),
    (nn.ZeroPadding1D(((3, 0),)), (2, 3, 4), lambda x: np.pad(x, ((0, 0), (3, 0), (0, 0)))),
    (nn.ZeroPadding2D((1, (0, 2))), (2, 3, 4, 1), lambda x: np.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0)))),
    (nn.Cropping1D(((0, 2),)), (2, 5, 4), lambda x: x[:, :3]),
    (nn.Cropping2D(((1, 2), 1)), (2, 5, 4, 3), lambda x: x[:, 1:3, 1:3]),
    (nn.UpSampling1D(3), (2, 4, 3), lambda x: _nearest(x, (3,))),
    (nn.UpSampling2D((2, 3)), (2, 3, 2, 5), lambda x: _nearest(x, (2, 3))),
    (nn.UpSampling1D(2, "bilinear"), (2, 5, 3), lambda x: _bilinear(x, (2,))),
    (nn.UpSampling2D((3, 2), "bilinear"), (2, 3, 1, 2), lambda x: _bilinear(x, (3, 2))),
    (nn.Lambda(ops.tanh), (2, 3), np.tanh),
    (nn.Concatenate(ops.tanh, nn.Identity()), (2, 3), lambda x: np.concatenate([np.tanh(x), x], -1)),
    (nn.Concatenate(nn.Identity(), ops.exp, axis=1), (2, 3, 4), lambda x: np.concatenate([x, np.exp(x)], 1)),
    (nn.Residual(ops.tanh, ops.square), (2, 3), lambda x: x + np.tanh(x) ** 2),
    (nn.Residual(ops.tanh, shortcut=ops.exp), (2, 3), lambda x: np.exp(x) + np.tanh(x)),
    (nn.TimeDistributed(nn.Flatten()), (2, 3, 4, 5), lambda x: x.reshape(2, 3, 20)),
    (nn.TimeDistributed(nn.GlobalAvgPool2D()), (2, 3, 4, 5, 2), lambda x: x.mean((2, 3))),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape", "reference"), CASES, ids=str)
def test_values_and_derivatives(layer: Any, shape: tuple[int, ...], reference: Any, dtype: str) -> None:
    x = normal(shape).astype(dtype)
    y, expected = layer(x), reference(x.astype("float64"))
    assert (y.dtype, y.shape) == (dtype, expected.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-6)
    if dtype == "float64" and x.size:
        bp.check_gradients(layer, x, order=2)


def test_integers_keep_their_dtype_where_nothing_is_computed() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    for layer in (nn.Flatten(), nn.Permute((2, 1)), nn.ZeroPadding1D(), nn.Cropping1D(), nn.UpSampling1D()):
        assert layer(x).dtype == np.int64
    np.testing.assert_array_equal(nn.ZeroPadding1D()(x), np.pad(x, ((0, 0), (1, 1), (0, 0))))


def test_parameters_inside_are_found_and_trained() -> None:
    model = nn.Sequential(
        nn.TimeDistributed(nn.Dense(4, "tanh")),
        nn.Residual(nn.Dense(5, "relu"), nn.Dense(6), shortcut=nn.Dense(6, use_bias=False)),
        nn.Concatenate(nn.Dense(2), nn.Dense(3)),
        nn.Flatten(),
        nn.Dense(1),
    )
    model.build((None, 3, 2), dtype="float64")
    names = [
        "0.module.weight", "0.module.bias", "1.modules.0.weight", "1.modules.0.bias", "1.modules.1.weight",
        "1.modules.1.bias", "1.shortcut.weight", "2.modules.0.weight", "2.modules.0.bias",
        "2.modules.1.weight", "2.modules.1.bias", "4.weight", "4.bias",
    ]  # fmt: skip
    assert sorted(model.parameters) == sorted(names)
    x, y = normal((50, 3, 2)), normal((50, 1), key=1)
    before = {name: value.copy() for name, value in model.parameters.items()}
    bp.Trainer(model, "mse", dtype="float64").fit(x, y, epochs=1, progress=False)
    assert [name for name, value in model.parameters.items() if (value == before[name]).all()] == []


def test_time_distributed_is_the_layer_on_each_step() -> None:
    dense = nn.Dense(3)
    x = normal((2, 5, 4)).astype("float32")
    y = nn.TimeDistributed(dense)(x)
    np.testing.assert_allclose(y, np.stack([dense(x[:, t]) for t in range(5)], 1), rtol=1e-6)


X = np.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Reshape((2, -1, -1)), ValueError, "Reshape: sizes must be at least 0, and one of them"),
        (lambda: nn.Reshape((2.0,)), TypeError, "Reshape: shape must be an integer"),
        (lambda: nn.Reshape((5, -1))(X), ValueError, r"Reshape: samples of shape \(3, 4\) can't have shape"),
        (lambda: nn.Reshape(0)(X), ValueError, r"Reshape: samples of shape \(3, 4\) can't have shape \(0,\)"),
        (lambda: nn.Permute((1, 3)), ValueError, "Permute: order must hold each of 1 to 2 once"),
        (lambda: nn.Permute((1,))(X), ValueError, "Permute: expected 2 axes, got input of shape"),
        (lambda: nn.ZeroPadding1D("same"), ValueError, "ZeroPadding1D: padding must be an integer, or"),
        (lambda: nn.ZeroPadding2D(-1), ValueError, "ZeroPadding2D: padding must be at least 0"),
        (lambda: nn.ZeroPadding2D(1)(X), ValueError, "ZeroPadding2D: expected input of shape"),
        (lambda: nn.Cropping1D(((2, 1),))(X), ValueError, r"Cropping1D: nothing is left of input of shape"),
        (lambda: nn.UpSampling1D(0), ValueError, "UpSampling1D: size must be at least 1"),
        (lambda: nn.UpSampling2D(2, "cubic"), ValueError, 'UpSampling2D: mode must be "nearest" or "bilin'),
        (lambda: nn.UpSampling1D(2)(X[:, :0]), ValueError, "UpSampling1D: there is nothing to repeat"),
        (lambda: nn.UpSampling1D(2, "bilinear")(X.astype(int)), TypeError, "bilinear upsampling is for"),
        (lambda: nn.Concatenate(), ValueError, "Concatenate: expected at least one module"),
        (lambda: nn.Concatenate(nn.Dense), TypeError, "Concatenate: expected a module or a function"),
        (lambda: nn.Concatenate(ops.exp, axis=3)(X), ValueError, "Concatenate: axis 3 is out of range"),
        (
            lambda: nn.Concatenate(ops.exp, nn.Flatten())(X), ValueError,
            r"Concatenate: results of shapes \(2, 3, 4\), \(2, 12\) differ beyond axis -1",
        ),
        (
            lambda: nn.Residual(nn.Flatten())(X), ValueError,
            r"Residual: the input has shape \(2, 3, 4\), the layers' result \(2, 12\); a shortcut can",
        ),
        (lambda: nn.Residual(ops.exp, shortcut=nn.Flatten())(X), ValueError, "the shortcut's result has"),
        (lambda: nn.Residual(), ValueError, "Residual: expected at least one module"),
        (lambda: nn.Residual(ops.exp, shortcut=3), TypeError, "Residual: expected a module or"),
        (lambda: nn.TimeDistributed(2), TypeError, "TimeDistributed: expected a module or a function"),
        (lambda: nn.TimeDistributed(ops.exp)(X[0]), ValueError, "TimeDistributed: expected input of shape"),
        (lambda: nn.Lambda(nn.Dense), TypeError, "Lambda: expected a module or a function"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
