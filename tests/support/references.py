"""What the ops compute, in NumPy and in the plainest form that does not overflow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=["float64"])(x))


def relu(x: Array) -> Array:
    return np.where(x <= 0, np.zeros((), x.dtype), x)  # NaN is not <= 0


def sigmoid(x: Array) -> Array:
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def relu_gradient(g: Array, y: Array) -> Array:
    return np.where(y > 0, g, np.zeros((), g.dtype))


def sigmoid_gradient(g: Array, y: Array) -> Array:
    return g * y * (1 - y)


def tanh_gradient(g: Array, y: Array) -> Array:
    return g * (1 - y**2)


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Array, axis: int = -1) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def one_hot(indices: Array, depth: int, dtype: str = "float32") -> Array:
    return (indices[..., None] == np.arange(depth)).astype(dtype)


def cross_entropy(logits: Array, labels: Array) -> Array:
    return -np.take_along_axis(log_softmax(logits), labels[..., None], -1)[..., 0]


def cross_entropy_gradient(logits: Array, labels: Array, seed: Array) -> Array:
    return (softmax(logits) - one_hot(labels, logits.shape[-1], "float64")) * seed[..., None]


def binary_cross_entropy(logits: Array, targets: Array) -> Array:
    return -targets * _log_sigmoid(logits) - (1 - targets) * _log_sigmoid(-logits)


def _log_sigmoid(x: Array) -> Array:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def normalized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps), with the biased variance over `axes`."""
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(variance + eps))


def normalized_grad(x: Array, axes: tuple[int, ...], eps: float, seed: Array) -> Array:
    """The derivative of Σ seed · normalized(x) by x."""
    deviation = np.sqrt(((x - x.mean(axes, keepdims=True)) ** 2).mean(axes, keepdims=True) + eps)
    y = normalized(x, axes, eps)
    common = seed.mean(axes, keepdims=True) + y * (seed * y).mean(axes, keepdims=True)
    return np.asarray((seed - common) / deviation)


def squared_error(prediction: Array, target: Array) -> Array:
    return (prediction - target) ** 2


_ACTIVATIONS = {None: lambda x: x, "relu": relu, "sigmoid": sigmoid, "tanh": np.tanh}


def dense(x: Array, weight: Array, bias: Array | None = None, activation: str | None = None) -> Array:
    product = x @ weight
    return _ACTIVATIONS[activation](product if bias is None else product + bias)


def matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)


def box(start: list[int], size: list[int], step: list[int]) -> tuple[Array, ...]:
    """Indices of a box of every `step`-th element: element i along an axis is start + i · step."""
    return np.ix_(*(b + np.arange(n) * s for b, n, s in zip(start, size, step, strict=True)))


def slice_box(x: Array, start: list[int], size: list[int], step: list[int]) -> Array:
    return x[box(start, size, step)]


def unslice(x: Array, shape: list[int], start: list[int], size: list[int], step: list[int]) -> Array:
    whole = np.zeros(shape, x.dtype)
    whole[box(start, size, step)] = x
    return whole


def scatter_add(x: Array, indices: Array, axis: int, size: int) -> Array:
    whole = np.zeros((*x.shape[:axis], size, *x.shape[axis + indices.ndim :]), x.dtype)
    np.add.at(whole, (slice(None),) * axis + (indices,), x)
    return whole
