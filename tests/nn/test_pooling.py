"""Pooling layers: values, derivatives, lengths, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support import pooling
from tests.support.draw import distinct, integers, normal

# Layer, shape, and the settings of the reference.
WINDOWS: list[tuple[Any, tuple[int, ...], dict[str, Any]]] = [
    (lambda kind: kind("2D")(2), (2, 4, 7, 3), {"window": (2, 2), "strides": (2, 2)}),
    (lambda kind: kind("2D")((3, 2), 1, 1), (1, 4, 5, 2),
     {"window": (3, 2), "strides": (1, 1), "padding": (1, 1, 1, 1)}),
    (lambda kind: kind("2D")(3, 2, "same"), (1, 5, 6, 2),
     {"window": (3, 3), "strides": (2, 2), "padding": (1, 1, 0, 1)}),
    (lambda kind: kind("1D")(3), (2, 7, 4), {"window": (1, 3), "strides": (1, 3)}),
    (lambda kind: kind("1D")(4, 1, ((3, 0),)), (2, 6, 3),
     {"window": (1, 4), "strides": (1, 1), "padding": (0, 0, 3, 0)}),
    (lambda kind: kind("1D")(2, padding="same"), (1, 5, 1),
     {"window": (1, 2), "strides": (1, 2), "padding": (0, 0, 0, 1)}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["MaxPool", "AvgPool"])
@pytest.mark.parametrize(("make", "shape", "settings"), WINDOWS)
def test_windows(make: Any, shape: tuple[int, ...], settings: dict[str, Any], name: str, dtype: str) -> None:
    layer = make(lambda axes: getattr(nn, name + axes))
    x = distinct(shape).astype(dtype)
    full = {"padding": (0, 0, 0, 0), "dilation": (1, 1), **settings}
    reference = pooling.max_pool if name == "MaxPool" else pooling.avg_pool
    image = x if len(shape) == 4 else x[:, None]
    expected = reference(image, **full)
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected if len(shape) == 4 else expected[:, 0], rtol=1e-6)
    if dtype == "float64":
        bp.check_gradients(layer, x)


def test_dilation_and_padding_that_counts() -> None:
    x = np.arange(6.0).reshape(1, 6, 1)
    assert nn.MaxPool1D(2, 1, dilation=3)(x)[0, :, 0].tolist() == [3, 4, 5]
    assert nn.AvgPool1D(2, 2, 1, count_include_pad=True)(x)[0, :, 0].tolist() == [0, 1.5, 3.5, 2.5]
    assert nn.AvgPool1D(2, 2, 1)(x)[0, :, 0].tolist() == [0, 1.5, 3.5, 5]


@pytest.mark.parametrize(
    ("layer", "shape", "reference"),
    [
        (nn.GlobalMaxPool1D(), (3, 5, 4), lambda x: x.max(1)),
        (nn.GlobalAvgPool1D(), (3, 5, 4), lambda x: x.mean(1)),
        (nn.GlobalMaxPool2D(), (3, 5, 2, 4), lambda x: x.max((1, 2))),
        (nn.GlobalAvgPool2D(), (3, 5, 2, 4), lambda x: x.mean((1, 2))),
    ],
    ids=str,
)
def test_global(layer: Any, shape: tuple[int, ...], reference: Any) -> None:
    x = distinct(shape)
    np.testing.assert_allclose(layer(x), reference(x), rtol=1e-12, atol=1e-12)
    bp.check_gradients(layer, x)


@pytest.mark.parametrize("as_mask", [False, True])
def test_only_steps_within_the_lengths_count(as_mask: bool) -> None:
    x, lengths = distinct((4, 5, 3)), np.array([5, 2, 0, 3])
    given: Any = np.arange(5) < lengths[:, None] if as_mask else lengths
    rows = [x[i, :length] for i, length in enumerate(lengths)]
    largest = np.stack([row.max(0) if len(row) else np.zeros(3) for row in rows])
    mean = np.stack([row.mean(0) if len(row) else np.zeros(3) for row in rows])
    np.testing.assert_array_equal(nn.GlobalMaxPool1D()(x, given), largest)
    np.testing.assert_allclose(nn.GlobalAvgPool1D()(x, given), mean, rtol=1e-12)
    for layer in (nn.GlobalMaxPool1D(), nn.GlobalAvgPool1D()):
        bp.check_gradients(lambda v, layer=layer: layer(v, given), x)
        outside = x.copy()
        outside[1, 2:] = np.nan
        np.testing.assert_array_equal(layer(outside, given), layer(x, given))
        gradient = bp.grad(lambda v, layer=layer: ops.sum(layer(v, given)))(outside)
        assert not gradient[1, 2:].any()
        assert not gradient[2].any()


def test_integers_are_converted() -> None:
    x = integers((2, 4, 4, 1), 0, 200).astype("uint8")
    for layer in (nn.MaxPool2D(2), nn.AvgPool2D(2), nn.GlobalMaxPool2D(), nn.GlobalAvgPool2D()):
        y = layer(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, layer(x.astype("float32")))


def test_settings_are_shown() -> None:
    assert repr(nn.MaxPool2D(2)) == "MaxPool2D(2, strides=2, padding='valid')"
    assert repr(nn.AvgPool2D((3, 2), 1, "same")) == "AvgPool2D((3, 2), strides=1, padding='same')"
    assert repr(nn.GlobalAvgPool1D()) == "GlobalAvgPool1D()"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.MaxPool2D(0), ValueError, "MaxPool2D: size must be at least 1"),
        (lambda: nn.MaxPool1D((2, 2)), ValueError, "MaxPool1D: size must be an integer or one for each of 1"),
        (lambda: nn.AvgPool1D(2, 1.0), TypeError, "AvgPool1D: strides must be an integer"),
        (lambda: nn.AvgPool2D(2, padding="causal"), ValueError, "AvgPool2D: padding must be"),
        (lambda: nn.AvgPool2D(2, count_include_pad=1), TypeError, "AvgPool2D: count_include_pad must"),
        (lambda: nn.MaxPool2D(2, dilation=0), ValueError, "MaxPool2D: dilation must be at least 1"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(make: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("layer", "arrays", "error", "message"),
    [
        (nn.MaxPool2D(2), [(2, 3, 4)], ValueError, r"expected input of shape \(batch, height, width, ch"),
        (nn.MaxPool1D(2), [(2, 3)], ValueError, r"expected input of shape \(batch, time, channels\), got"),
        (nn.AvgPool2D(3), [(1, 2, 5, 1)], ValueError, "a window of 3 x 3 is larger than the input of 2 x 5"),
        (nn.GlobalAvgPool2D(), [(2, 0, 3, 1)], ValueError, "there is nothing to pool"),
        (nn.GlobalAvgPool1D(), [(2, 3, 1), (2,)], TypeError, "lengths must be integers or bools, not floats"),
    ],
)
def test_wrong_input_is_refused(layer: Any, arrays: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"{type(layer).__name__}: {message}"):
        layer(*(normal(shape) for shape in arrays))


def test_lengths_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths of dtype int64 must have shape \(2,\), got \(3,\)"):
        nn.GlobalMaxPool1D()(np.ones((2, 3, 1)), np.ones(3, int))
    with pytest.raises(ValueError, match=r"lengths of dtype bool must have shape \(2, 3\), got \(2,\)"):
        nn.GlobalMaxPool1D()(np.ones((2, 3, 1)), np.ones(2, bool))


@pytest.mark.parametrize("layer", [nn.GlobalMaxPool1D(), nn.GlobalAvgPool1D()])
@pytest.mark.parametrize("length", [-1, 4])
def test_lengths_out_of_range_are_refused(layer: nn.Module, length: int) -> None:
    with pytest.raises(
        ValueError, match=rf"input 1\[1\] is {length}, but gather takes integers from 0 to 3$"
    ):
        layer(np.ones((2, 3, 1)), np.array([3, length]))


def test_training_through_pooling_lowers_the_loss() -> None:
    x, y = normal((60, 8, 6, 2)), integers((60,), 0, 3)
    model = nn.Sequential(
        nn.Dense(6, "relu"), nn.MaxPool2D(2), nn.Dense(6), nn.AvgPool2D(3, 1, "same"), nn.GlobalMaxPool2D(),
        nn.Dense(3),
    )  # fmt: skip
    history = bp.Trainer(model, "cross_entropy").fit(x, y, epochs=30, batch_size=20, progress=False)
    assert history["loss"][-1] < 0.9 * history["loss"][0]
