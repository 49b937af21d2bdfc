"""Small problems and models that the tests of training share, and what plain float64 NumPy makes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import bpcore as bp
from bpcore import nn


def xor() -> tuple[np.ndarray, np.ndarray]:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def blobs(n: int = 96, features: int = 4, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`n` points around `classes` centres that a line can tell apart, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = 4 * np.eye(classes, features)
    return (centres[y] + 0.5 * rng.normal(size=(n, features))).astype(np.float32), y


def regression(
    n: int = 20, features: int = 3, outputs: int = 2, seed: int = 0, dtype: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)).astype(dtype), rng.normal(size=(n, outputs)).astype(dtype)


def network(*units: int, activation: str | None = "tanh", in_features: int | None = None) -> nn.Sequential:
    """Dense layers, `activation` behind all but the last. With `in_features`, all sizes are known at once."""
    sizes = [in_features, *(units[:-1] if in_features is not None else [None] * (len(units) - 1))]
    activations = [activation] * (len(units) - 1) + [None]
    layers = zip(units, activations, sizes, strict=True)
    return nn.Sequential(*(nn.Dense(n, function, in_features=size) for n, function, size in layers))


def bits(owner: nn.Module | bp.Trainer) -> bytes:
    """All parameters as bytes: equal only if every bit is."""
    return b"".join(name.encode() + value.tobytes() for name, value in owner.parameters.items())


def forward(parameters: dict[str, np.ndarray], x: np.ndarray, activation: Any = np.tanh) -> np.ndarray:
    """What `network` computes, in float64."""
    layers = len(parameters) // 2
    h = x.astype(np.float64)
    for i in range(layers):
        h = h @ parameters[f"{i}.weight"].astype(np.float64) + parameters[f"{i}.bias"]
        h = activation(h) if i < layers - 1 else h
    return h


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log softmax of each row's label."""
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return np.asarray(total - logits[np.arange(len(labels)), labels])


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of a child process that imports this bpcore and these tests."""
    path = os.pathsep.join([str(Path(bp.__file__).parents[1]), str(Path(__file__).parents[2])])
    return {**os.environ, "PYTHONPATH": path, **extra}


class LinearSgd:
    """The least squares fit of x @ weight + bias by plain SGD, in float64 NumPy, one batch at a time."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight, self.bias = weight.astype(np.float64), bias.astype(np.float64)

    def step(self, x: np.ndarray, y: np.ndarray, lr: float, weights: np.ndarray | None = None) -> float:
        """One update; the batch's loss before it: the mean square, or Σwℓ / Σw."""
        w = np.ones(len(x)) if weights is None else weights
        difference = x @ self.weight + self.bias - y
        scale = 2 * w[:, None] / (w.sum() * y.shape[1])
        loss = float((difference**2 * scale).sum() / 2)
        slope = difference * scale
        self.weight -= lr * x.T @ slope
        self.bias -= lr * slope.sum(axis=0)
        return loss

    def assert_equals(self, trainer: bp.Trainer, tolerance: float = 1e-12) -> None:
        np.testing.assert_allclose(trainer.parameters["0.weight"], self.weight, rtol=0, atol=tolerance)
        np.testing.assert_allclose(trainer.parameters["0.bias"], self.bias, rtol=0, atol=tolerance)
