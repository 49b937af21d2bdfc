"""nn.BatchNorm: values and derivatives in both modes, extremes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support.references import normalized, normalized_grad

EPS = 1e-5


def _layer(channels: int, dtype: str = "float64", **options: Any) -> nn.BatchNorm:
    """A layer whose arrays all have values of their own."""
    layer = nn.BatchNorm(channels, **options)
    layer.build((None, channels), dtype=dtype)
    rng = np.random.default_rng(9)
    for variable in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        if variable is not None:
            variable.value[...] = rng.uniform(0.5, 2, channels)
    return layer


def _value(variable: Any) -> np.ndarray:
    return np.asarray(variable.value, np.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("shape", [(2, 3), (7, 3), (200, 1), (4, 5, 3), (2, 3, 4, 2), (1, 6, 2)])
def test_training_takes_the_batchs_statistics_and_inference_the_running_ones(
    shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    x = (3 * np.random.default_rng(0).normal(size=shape) + 1).astype(dtype)
    layer = _layer(shape[-1], dtype)
    weight, bias = _value(layer.weight), _value(layer.bias)
    with bp.training(0):
        trained = layer(x)
    expected = normalized(x.astype(np.float64), tuple(range(x.ndim - 1)), EPS) * weight + bias
    assert trained.dtype == dtype
    np.testing.assert_allclose(trained, expected, rtol=tolerance, atol=10 * tolerance)
    expected = (x - _value(layer.running_mean)) / np.sqrt(_value(layer.running_var) + EPS) * weight + bias
    np.testing.assert_allclose(layer(x), expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("shape", [(5, 3), (3, 4, 2)])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.5}])
def test_derivatives_by_input(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    x = np.random.default_rng(1).normal(size=shape)
    layer = _layer(shape[-1], **options)
    for order in (1, 2):
        bp.check_gradients(layer, x, order=order)
        with bp.training(0):
            bp.check_gradients(layer, x, order=order)


def test_derivatives_by_weight_and_bias() -> None:
    rng = np.random.default_rng(1)
    x, seed = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    layer = _layer(3)
    trainer = bp.Trainer(layer, objective=lambda m, v, g: ops.sum(m(v) ** 2 * g), dtype="float64")
    gradients = trainer.gradients(x, seed)
    assert list(gradients) == ["weight", "bias"]
    y = normalized(x, (0,), EPS)
    slope = 2 * (y * _value(layer.weight) + _value(layer.bias)) * seed
    np.testing.assert_allclose(gradients["weight"], (slope * y).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(gradients["bias"], slope.sum(axis=0), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e4 / 3, 1e-40, 1e-310])
def test_equal_values_give_the_bias_and_finite_derivatives(value: float, dtype: str) -> None:
    """Not nearly: a mean that is rounded would be blown up by the small deviation."""
    x = np.full((37, 2), value, dtype)
    layer = _layer(2, dtype, eps=1e-12)
    seed = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    with bp.training(0):
        np.testing.assert_array_equal(layer(x), np.broadcast_to(layer.bias.value, x.shape))  # type: ignore[union-attr]
        slope = bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    expected = (seed - seed.mean(axis=0)) * _value(layer.weight) / 1e-6
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_far_apart_and_tiny_ones_stay_finite_and_right(dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = np.stack(
        [rng.choice([-1e4, 0, 1, 1e4], 40), rng.normal(size=40) * 1e-3, rng.integers(1, 9, 40) * 1e-40], 1
    ).astype(dtype)
    layer, seed = _layer(3, dtype), rng.normal(size=x.shape).astype(dtype)
    weight, wide = _value(layer.weight), x.astype(np.float64)
    with bp.training(0):
        y, slope = layer(x), bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    np.testing.assert_allclose(y, normalized(wide, (0,), EPS) * weight + _value(layer.bias), atol=1e-5)
    expected = normalized_grad(wide, (0,), EPS, seed * weight)
    np.testing.assert_allclose(slope / np.abs(expected).max(0), expected / np.abs(expected).max(0), atol=1e-5)


@pytest.mark.parametrize("deviation", [1.0, 0.02])
@pytest.mark.parametrize("first", [0.0, 30.0])
def test_a_large_mean_costs_no_precision(deviation: float, first: float) -> None:
    """Values around 1e4 are 1e-3 apart in float32: what they are is normalised to full precision.

    Also if the first value of a channel is an outlier.
    """
    rng = np.random.default_rng(3)
    x = (1e4 + deviation * rng.normal(size=(300, 4))).astype(np.float32)
    x[0] += first * deviation
    layer, seed = _layer(4, "float32"), rng.normal(size=x.shape).astype(np.float32)
    weight, wide = _value(layer.weight), x.astype(np.float64)
    with bp.training(0):
        y, slope = layer(x), bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    expected = normalized(wide, (0,), EPS) * weight + _value(layer.bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    expected = normalized_grad(wide, (0,), EPS, seed * weight)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_a_row_in_inference_does_not_depend_on_its_batch() -> None:
    x = np.random.default_rng(0).normal(size=(33, 5)).astype(np.float32)
    layer = _layer(5, "float32")
    whole = layer(x)
    for i in (0, 16, 32):
        assert layer(x[i : i + 1]).tobytes() == whole[i : i + 1].tobytes()
    np.testing.assert_array_equal(layer(x[:0]), whole[:0])


def test_without_running_statistics_inference_takes_the_batchs() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3))
    layer = _layer(3, track_running_stats=False)
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None
    with bp.training(0):
        np.testing.assert_array_equal(layer(x), trained := layer(x))
    np.testing.assert_array_equal(layer(x), trained)
    with pytest.raises(ValueError, match=r"BatchNorm: expected more than 1 value per channel .* \(1, 3\)"):
        layer(x[:1])


def test_without_affine_there_are_no_parameters() -> None:
    layer = nn.BatchNorm(3, affine=False)
    assert layer.weight is layer.bias is None
    assert layer.parameters == {}
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    with bp.training(0):
        np.testing.assert_allclose(layer(x), normalized(x, (0,), EPS), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer(x), x / np.sqrt(1 + EPS), rtol=1e-6)


def test_the_number_of_channels_is_inferred_once() -> None:
    layer = nn.BatchNorm()
    assert layer.num_features is None
    assert repr(layer) == "BatchNorm(None)"
    layer(np.zeros((2, 4), np.float32))
    assert layer.num_features == 4
    assert {name: value.shape for name, value in layer.parameters.items()} == {"weight": (4,), "bias": (4,)}
    with pytest.raises(
        ValueError, match=r"BatchNorm: expected input of shape \(batch, ..., 4\), got \(2, 5\)"
    ):
        layer(np.zeros((2, 5), np.float32))
    untracked = nn.BatchNorm(3, affine=False, track_running_stats=False)
    with pytest.raises(ValueError, match=r"expected input of shape \(batch, ..., 3\), got \(2, 5\)"):
        untracked(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("x", [np.float32(1), np.zeros(3, np.float32)])
def test_a_sample_alone_is_no_batch(x: Any) -> None:
    with pytest.raises(ValueError, match=r"BatchNorm: expected input of shape \(batch, ..., 3\)"):
        nn.BatchNorm(3)(x)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64"])
def test_integers_and_masks_become_the_models_dtype(kind: str) -> None:
    layer = _layer(3)
    x = np.arange(12).reshape(4, 3).astype(kind)
    np.testing.assert_array_equal(layer(x), layer(x.astype(np.float64)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_features": 0}, ValueError, "BatchNorm: num_features must be at least 1, got 0"),
        ({"num_features": 2.0}, TypeError, "BatchNorm: num_features must be an integer, got 2.0"),
        ({"num_features": True}, TypeError, "num_features must be an integer"),
        ({"eps": 0}, ValueError, "BatchNorm: eps must be finite and at least 1.17549e-38, got 0"),
        ({"eps": -1e-5}, ValueError, "eps must be"),
        ({"eps": float("nan")}, ValueError, "eps must be"),
        ({"eps": float("inf")}, ValueError, "eps must be"),
        ({"eps": None}, TypeError, "BatchNorm: eps must be a number, got None"),
        ({"eps": True}, TypeError, "eps must be a number"),
        ({"momentum": -0.1}, ValueError, r"BatchNorm: momentum must be in \[0, 1\], got -0.1"),
        ({"momentum": 1.1}, ValueError, "momentum must be"),
        ({"momentum": float("nan")}, ValueError, "momentum must be"),
        ({"momentum": "0.1"}, TypeError, "BatchNorm: momentum must be a number, got '0.1'"),
        ({"momentum": False}, TypeError, "momentum must be a number"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.BatchNorm(**options)


def test_inference_is_one_pass_behind_a_dense_layer_and_training_takes_few() -> None:
    model = nn.Sequential(nn.Dense(8, in_features=4), nn.BatchNorm(8), nn.ReLU())
    model(np.zeros((16, 4), np.float32))
    (compiled,) = model._bpcore.plans._entries.values()
    whole = [each for each in compiled.plan.instructions if each.endswith("(16, 8)")]
    assert whole == ["dense (16, 8)", "subtract+multiply+add+relu (16, 8)"]
    with bp.training(0):
        model(np.zeros((16, 4), np.float32))
    trained = list(model._bpcore.plans._entries.values())[-1].plan.instructions
    whole = [each for each in trained if each.endswith("(16, 8)")]
    assert whole == ["dense (16, 8)", "batch_norm (16, 8)", "relu (16, 8)"]
