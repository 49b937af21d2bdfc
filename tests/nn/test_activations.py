"""Activations as modules: their values, their derivatives, and far from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from bpcore.nn import activations


def _softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


CASES: list[tuple[Any, Any]] = [
    (nn.ReLU(), lambda z: np.maximum(z, 0)),
    (nn.Sigmoid(), lambda z: np.exp(-np.logaddexp(0, -z))),
    (nn.Tanh(), np.tanh),
    (nn.Identity(), lambda z: z),
    (nn.Softmax(), _softmax),
    (nn.Softmax(axis=0), lambda z: _softmax(z, 0)),
    (nn.LogSoftmax(), lambda z: np.log(_softmax(z))),
    (nn.LogSoftmax(axis=1), lambda z: np.log(_softmax(z, 1))),
]


@pytest.mark.parametrize(("module", "expected"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_values_and_dtypes(module: nn.Module, expected: Any, dtype: str, tolerance: float) -> None:
    z = (3 * np.random.default_rng(0).normal(size=(5, 7))).astype(dtype)
    assert module(z).dtype == dtype
    np.testing.assert_allclose(module(z), expected(z.astype(np.float64)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("module", "expected"), CASES)
def test_derivatives(module: nn.Module, expected: Any) -> None:
    z = np.random.default_rng(0).normal(size=(3, 4))
    assert np.abs(z).min() > 1e-3, "no element sits at the kink of relu"
    bp.check_gradients(module, z)
    if not isinstance(module, nn.ReLU):
        bp.check_gradients(module, z, order=2, tolerance=1e-5)
    assert expected(z).shape == z.shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_from_zero_nothing_overflows(dtype: str) -> None:
    z = np.array([[-1e4, 0.0, 1e4]], dtype)
    np.testing.assert_array_equal(nn.Sigmoid()(z), [[0, 0.5, 1]])
    np.testing.assert_array_equal(nn.Tanh()(z), [[-1, 0, 1]])
    np.testing.assert_array_equal(nn.Softmax()(z), [[0, 0, 1]])
    np.testing.assert_array_equal(nn.LogSoftmax()(z), [[-2e4, -1e4, 0]])
    np.testing.assert_array_equal(nn.ReLU()(z), [[0, 0, 1e4]])


def test_nan_is_not_swallowed() -> None:
    z = np.array([[np.nan, 1.0]])
    for module, _ in CASES[:4]:
        assert np.isnan(module(z)[0, 0]), module
        assert np.isfinite(module(z)[0, 1]), module


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    assert bp.grad(lambda v: bp.ops.sum(nn.ReLU()(v)))(np.zeros(3)).tolist() == [0, 0, 0]


def test_they_have_no_parameters_and_fit_into_models() -> None:
    for module, _ in CASES:
        assert module.parameters == {}
    x = np.random.default_rng(0).normal(size=(3, 4))
    parts = nn.Sequential(nn.Dense(5), nn.Tanh(), nn.Dense(2), nn.Softmax())
    parts.build(4, dtype="float64")
    fused = nn.Sequential(nn.Dense(5, "tanh"), nn.Dense(2, "softmax"))
    fused.build(4, dtype="float64")
    for mine, theirs in zip(fused.parameters.values(), parts.parameters.values(), strict=True):
        mine[...] = theirs
    np.testing.assert_allclose(fused(x), parts(x), rtol=1e-13)


@pytest.mark.parametrize("name", ["identity", "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh"])
def test_every_name_is_a_function(name: str) -> None:
    z = np.random.default_rng(0).normal(size=(2, 3))
    function = activations.resolve(name)
    assert function is not None
    assert function(z).shape == z.shape
