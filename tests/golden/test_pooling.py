"""Pooling, upsampling and embedding give PyTorch's results and derivatives (see make_pooling.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}

LAYERS: dict[str, Any] = {
    "max": nn.MaxPool2D(2),
    "max_overlapping": nn.MaxPool2D(3, 2, 1),
    "max_dilated": nn.MaxPool2D((2, 3), (1, 2), 1, dilation=(2, 1)),
    "max_1d": nn.MaxPool1D(3, 2),
    "avg": nn.AvgPool2D((2, 3)),
    "avg_inside": nn.AvgPool2D(3, 2, 1),
    "avg_padded": nn.AvgPool2D(3, 1, 1, count_include_pad=True),
    "avg_1d": nn.AvgPool1D(2, 1),
    "nearest": nn.UpSampling2D((2, 3)),
    "bilinear": nn.UpSampling2D((3, 2), "bilinear"),
    "linear_1d": nn.UpSampling1D(4, "bilinear"),
}


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("pooling.npz")) as file:
        return dict(file)


def _assert_close(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), what
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    assert error <= TOLERANCE[expected.dtype.name], f"{what}: relative error {error:.2e}"


def test_the_file_has_these_cases() -> None:
    assert {name.split("/")[0] for name in _golden()} == {*LAYERS, "embedding", "embedding_padded"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", LAYERS)
def test_results_and_derivatives_are_pytorchs(case: str, dtype: str) -> None:
    golden, layer = _golden(), LAYERS[case]
    x, seed = golden[f"{case}/x"].astype(dtype), golden[f"{case}/seed"].astype(dtype)
    _assert_close(layer(x), golden[f"{case}/{dtype}/y"], "y")
    slope = bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    _assert_close(slope, golden[f"{case}/{dtype}/dx"], "dx")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("case", "padding"), [("embedding", None), ("embedding_padded", 2)])
def test_embedding_is_pytorchs(case: str, padding: int | None, dtype: str) -> None:
    golden = _golden()
    tokens, seed = golden[f"{case}/tokens"], golden[f"{case}/seed"].astype(dtype)
    layer = nn.Embedding(7, 4, padding_index=padding)
    layer.build((None, 5), dtype=dtype)
    layer.parameters["weight"][...] = golden[f"{case}/weight"]
    _assert_close(layer(tokens), golden[f"{case}/{dtype}/y"], "y")
    trainer = bp.Trainer(layer, objective=lambda m, t, s: ops.sum(m(t) * s), dtype=dtype)
    gradient = trainer.gradients(tokens, seed)["weight"]
    _assert_close(gradient, golden[f"{case}/{dtype}/dweight"], "dweight")
