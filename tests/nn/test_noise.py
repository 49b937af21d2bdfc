"""Dropout, AlphaDropout, GaussianNoise: formulas, statistics, modes, and which numbers a layer draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support import philox

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
LAYERS = [nn.Dropout(0.3), nn.AlphaDropout(0.3), nn.GaussianNoise(0.7)]
each_layer = pytest.mark.parametrize("make", [layer.copy for layer in LAYERS], ids=map(repr, LAYERS))


def _layers() -> list[nn.Module]:
    return [layer.copy() for layer in LAYERS]


def _stream(path: str = "", call: int = 0) -> int:
    return philox.stream_of(f"{path}:{call}")


def _normal(shape: tuple[int, ...], dtype: str = "float64", key: int = 0) -> np.ndarray:
    return np.random.default_rng(key).normal(size=shape).astype(dtype)


def _alpha_dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """Equations of section "New dropout technique" of Klambauer et al. (2017), in float64."""
    lowest, q = -LAMBDA * ALPHA, 1 - rate
    a = (q + lowest**2 * q * (1 - q)) ** -0.5
    b = -a * ((1 - q) * lowest)
    return np.asarray(a * np.where(kept, x.astype(np.float64), lowest) + b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (33, 5), (3, 0), (2, 3, 65)])
def test_values(shape: tuple[int, ...], dtype: str) -> None:
    x = _normal(shape, dtype)
    epsilon = float(np.finfo(dtype).eps)
    kept = philox.kept(shape, 0.3, _stream(), seed=6)
    noise = philox.normals(shape, dtype, _stream(), seed=6)
    with bp.training(6):
        dropped, alpha, noisy = (layer(x) for layer in _layers())
    for result in (dropped, alpha, noisy):
        assert (result.shape, result.dtype) == (shape, dtype)
    np.testing.assert_allclose(dropped, np.where(kept, x / 0.7, 0), rtol=2 * epsilon)
    np.testing.assert_allclose(alpha, _alpha_dropout(x, kept, 0.3), rtol=0, atol=16 * epsilon)
    np.testing.assert_allclose(noisy, x + 0.7 * noise, rtol=0, atol=16 * epsilon)


@each_layer
def test_derivatives(make: Any) -> None:
    x, layer = _normal((5, 7)), make()
    with bp.training(8):
        bp.check_gradients(layer, x)
        bp.check_gradients(lambda v: ops.exp(layer(v)), x, order=2, tolerance=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_the_masks(dtype: str) -> None:
    x = _normal((40, 20), dtype)
    kept = philox.kept(x.shape, 0.3, _stream(), seed=2)
    with bp.training(2):
        dropped, alpha, noisy = (bp.grad(lambda v, of=layer: ops.sum(of(v)))(x) for layer in _layers())
    np.testing.assert_array_equal(dropped, np.where(kept, np.dtype(dtype).type(1 / 0.7), 0))
    a = (0.7 + (LAMBDA * ALPHA) ** 2 * 0.7 * 0.3) ** -0.5
    np.testing.assert_allclose(alpha, np.where(kept, a, 0), rtol=1e-6)
    np.testing.assert_array_equal(noisy, np.ones_like(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [1e4, -1e4, 0.0, 1.0, -math.inf, 1e-310])
def test_extremes(value: float, dtype: str) -> None:
    """Finite where the input is, and gradients always."""
    x = np.full((300,), value, dtype)
    with bp.training(2):
        for layer in _layers():
            got = layer(x).astype(np.float64)
            gradient = bp.grad(lambda v, of=layer: ops.sum(of(v)))(x)
            assert np.isfinite(gradient).all(), layer
            if math.isfinite(value):
                assert np.isfinite(got).all(), layer
            kept = gradient != 0
            assert kept.all() if isinstance(layer, nn.GaussianNoise) else 150 < kept.sum() < 260
            if isinstance(layer, nn.AlphaDropout):
                want = _alpha_dropout(x, kept, 0.3)
                np.testing.assert_allclose(got, want, rtol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    """Five standard errors, of data as selu makes them of standard normal numbers: mean 0, variance 1."""
    z = _normal((1000, 1000), key=1)
    x = LAMBDA * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0)))
    assert abs(x.mean()) < 5e-3
    assert abs(x.var() - 1) < 1e-2
    with bp.training(3):
        y = nn.AlphaDropout(rate)(x)
    fourth = ((y - y.mean()) ** 4).mean()
    assert abs(y.mean()) < 5 / math.sqrt(y.size)
    assert abs(y.var() - 1) < 5 * math.sqrt((fourth - 1) / y.size)
    with bp.training(3):
        plain = nn.Dropout(rate)(x)
    assert abs(plain.var() - 1) > 0.04, "Dropout alone would do"


def test_moments() -> None:
    x = np.full((500, 800), 3.0, np.float32)
    with bp.training(4):
        dropped, noisy = nn.Dropout(0.25)(x).astype(float), nn.GaussianNoise(2.0)(x).astype(float)
    assert abs(dropped.mean() - 3) < 5 * 3 * math.sqrt(1 / 3 / x.size)
    assert abs(noisy.mean() - 3) < 5 * 2 / math.sqrt(x.size)
    assert abs(noisy.std() - 2) < 5 * 2 / math.sqrt(2 * x.size)


@each_layer
def test_inference_is_the_identity(make: Any) -> None:
    layer = make()
    for x in (_normal((4, 5)), _normal((4, 5), "float32"), np.arange(6).reshape(2, 3)):
        got = layer(x)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, x)
    with bp.training(1):
        layer(_normal((4, 5)))
    np.testing.assert_array_equal(layer(_normal((4, 5))), _normal((4, 5)))


@pytest.mark.parametrize(
    ("layer", "want"),
    [(nn.Dropout(0), 1), (nn.Dropout(1), 0), (nn.AlphaDropout(0), 1), (nn.AlphaDropout(1), 0),
     (nn.GaussianNoise(0), 1)],
    ids=repr,
)  # fmt: skip
def test_limits(layer: nn.Module, want: int) -> None:
    x = _normal((6, 7))
    with bp.training(1):
        np.testing.assert_array_equal(layer(x), want * x)
        np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(layer(v)))(x), np.full((6, 7), want))


def _mask(layer: Any, seed: int = 0) -> np.ndarray:
    with bp.training(seed):
        return np.asarray(layer(np.ones((20, 30))))


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    """As two independent masks of rate 0.5 and 600 elements do."""
    return 200 < int((a != b).sum()) < 400


def test_a_seed_has_its_numbers() -> None:
    layer, model = nn.Dropout(), nn.Sequential(nn.Dropout(), nn.ReLU())
    np.testing.assert_array_equal(_mask(layer, 1), _mask(layer, 1))
    np.testing.assert_array_equal(_mask(layer, 1), _mask(nn.Dropout(), 1))
    np.testing.assert_array_equal(_mask(model, 1), _mask(model, 1))
    assert _differ(_mask(layer, 1), _mask(layer, 2))
    assert _differ(_mask(model, 1), _mask(model, 2))


class _Branches(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        return ops.stack([layer(x) for layer in self.layers])


def test_two_layers_and_two_calls_of_one_draw_apart() -> None:
    layer = nn.Dropout()
    for model in (_Branches(nn.Dropout(), nn.Dropout()), _Branches(layer, layer)):
        first, second = _mask(model)
        assert _differ(first, second)


def test_layers_of_a_packed_model_draw_by_their_paths() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dense(30, kernel_init="ones"), nn.Dropout(0.25))
    model.build(30, dtype="float64")
    x = np.ones((20, 30))
    first = philox.kept((20, 30), 0.5, _stream("0"), seed=5)
    last = philox.kept((20, 30), 0.25, _stream("2"), seed=5)
    sums = (2.0 * first).sum(axis=1, keepdims=True)
    with bp.training(5):
        np.testing.assert_allclose(model(x), np.where(last, sums / 0.75, 0), rtol=1e-14)
    np.testing.assert_array_equal(model(x), np.full((20, 30), 30.0))


@pytest.mark.parametrize("make", [nn.Dropout, nn.AlphaDropout])
@pytest.mark.parametrize(
    ("rate", "error"),
    [
        (1.5, ValueError),
        (-0.1, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (True, TypeError),
        ("0.5", TypeError),
        (None, TypeError),
    ],
)
def test_wrong_rates(make: Any, rate: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^{make.__name__}: rate must .*, got "):
        make(rate)


@pytest.mark.parametrize(
    ("std", "error"),
    [(-0.1, ValueError), (math.nan, ValueError), (math.inf, ValueError), (True, TypeError), ("1", TypeError)],
)
def test_wrong_stds(std: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^GaussianNoise: std must .*, got "):
        nn.GaussianNoise(std)


@each_layer
def test_integers_are_refused_in_training(make: Any) -> None:
    layer = make()
    with bp.training(1), pytest.raises(TypeError, match=r"^(dropout|AlphaDropout|GaussianNoise): .*int64"):
        layer(np.arange(6))


def test_numpy_numbers_are_rates() -> None:
    assert nn.Dropout(np.float32(0.5)).rate == 0.5
    assert nn.Dropout(1).rate == 1.0
    assert list(map(repr, LAYERS)) == ["Dropout(0.3)", "AlphaDropout(0.3)", "GaussianNoise(0.7)"]
