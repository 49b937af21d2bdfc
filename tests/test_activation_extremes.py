"""Activations that look at several elements or a weight: far from zero, next to it, and at it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import activations, ops
from tests.support.references import log_softmax, sigmoid, softmax

DTYPES = ["float32", "float64"]


def _rows(dtype: str) -> np.ndarray:
    """Rows of four: zeros, the smallest numbers, ±1e4, and the one with the other."""
    info = np.finfo(dtype)
    small, tiny = float(info.smallest_subnormal), float(info.tiny)
    return np.array(
        [
            [0, -0.0, 0, 0],
            [small, -small, tiny / 8, -tiny],
            [tiny, tiny / 2, -small, small],
            [1e4, -1e4, small, 0],
            [-1e4, tiny, 1e4, -small],
            [1e4, 1e4, -1e4, -1e4],
            [-1e4, -1e4, -1e4, -1e4],
        ],
        dtype,
    )


def _silu_slope(x: np.ndarray) -> np.ndarray:
    return np.asarray(sigmoid(x) * (1 + x * sigmoid(-x)))


def _reference(name: str, x: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values, and the slopes of Σ seed · values, in float64."""
    if name == "softmax":
        y = softmax(x)
        return y, y * (seed - (seed * y).sum(axis=-1, keepdims=True))
    if name == "log_softmax":
        return log_softmax(x), seed - softmax(x) * seed.sum(axis=-1, keepdims=True)
    a, b = np.split(x, 2, axis=-1)
    if name == "glu":
        slopes = seed * sigmoid(b), seed * a * sigmoid(b) * sigmoid(-b)
        return a * sigmoid(b), np.concatenate(slopes, axis=-1)
    silu = a * sigmoid(a)
    return silu * b, np.concatenate([seed * _silu_slope(a) * b, seed * silu], axis=-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["glu", "log_softmax", "softmax", "swiglu"])
def test_functions_along_an_axis(name: str, dtype: str) -> None:
    x, function, info = _rows(dtype), getattr(activations, name), np.finfo(dtype)
    width = 2 if name in ("glu", "swiglu") else 4
    seed = np.random.default_rng(0).uniform(0.5, 2, (len(x), width)).astype(dtype)
    value, slope = _reference(name, x.astype(np.float64), seed.astype(np.float64))
    limits: dict[str, Any] = {"rtol": 8 * float(info.eps), "atol": 4 * float(info.tiny)}
    np.testing.assert_allclose(function(x), value, **limits)
    if width == 4:  # softmaxes subtract sums of rows, which are about 1
        limits["atol"] = 16 * float(info.eps)
    np.testing.assert_allclose(bp.grad(lambda v: ops.sum(function(v) * seed))(x), slope, **limits)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [0.25, 0.0, -1e4, 1e-40])
def test_prelu(weight: float, dtype: str) -> None:
    x, info = _rows(dtype), np.finfo(dtype)
    w = np.full(4, weight, dtype)
    wide = x.astype(np.float64)
    atol = 2 * float(info.smallest_subnormal)
    np.testing.assert_allclose(
        activations.prelu(x, w), np.where(wide > 0, wide, w * wide), rtol=4 * info.eps, atol=atol
    )
    by_input, by_weight = bp.grad(lambda v, u: ops.sum(activations.prelu(v, u)), argnums=(0, 1))(x, w)
    np.testing.assert_array_equal(by_input, np.where(x > 0, 1, w).astype(dtype))
    np.testing.assert_allclose(by_weight, np.minimum(wide, 0).sum(axis=0), rtol=4 * info.eps, atol=4 * atol)
