"""Convolution layers give PyTorch's results and derivatives (see make_conv.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

LAYERS: dict[str, Any] = {
    "conv": lambda: nn.Conv2D(5, 3),
    "conv_first": lambda: nn.Conv2D(8, 5, padding="same"),
    "conv_strided": lambda: nn.Conv2D(6, (3, 2), (2, 3), (1, 0)),
    "conv_dilated": lambda: nn.Conv2D(3, 3, padding=(2, 1), dilation=(2, 1)),
    "conv_groups": lambda: nn.Conv2D(6, 3, padding=1, groups=2),
    "conv_relu": lambda: nn.Conv2D(4, 2, activation="relu"),
    "conv_uneven": lambda: nn.Conv2D(3, 2, padding=((1, 0), (0, 2))),
    "signal": lambda: nn.Conv1D(4, 3, 2, 1),
    "signal_causal": lambda: nn.Conv1D(3, 3, padding=[(4, 0)], dilation=2),
    "depthwise": lambda: nn.DepthwiseConv2D(3, 2, 1, depth_multiplier=2),
    "depthwise_signal": lambda: nn.DepthwiseConv1D(3),
    "transposed": lambda: nn.ConvTranspose2D(4, 3),
    "transposed_strided": lambda: nn.ConvTranspose2D(6, 3, 2, 1, output_padding=1, groups=2),
    "transposed_dilated": lambda: nn.ConvTranspose2D(3, (2, 3), (3, 1), (0, 2), dilation=(1, 2)),
    "transposed_signal": lambda: nn.ConvTranspose1D(2, 4, 3, output_padding=2),
}


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("conv.npz")) as file:
        return dict(file)


def _assert_close(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), what
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    assert error <= TOLERANCE[expected.dtype.name], f"{what}: relative error {error:.2e}"


def test_every_case_of_the_file_has_a_layer() -> None:
    assert {name.split("/")[0] for name in _golden()} == set(LAYERS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", LAYERS)
def test_results_and_derivatives_are_pytorchs(case: str, dtype: str) -> None:
    given = {name: _golden()[f"{case}/{name}"].astype(dtype) for name in ("x", "seed", "weight", "bias")}
    expected = {name: _golden()[f"{case}/{dtype}/{name}"] for name in ("y", "dx", "dweight", "dbias")}
    layer = LAYERS[case]()
    layer.build(given["x"].shape, dtype=dtype)
    for name, value in layer.parameters.items():
        value[...] = given[name]

    def total(model: Any, x: Any, seed: Any) -> Any:
        return ops.sum(model(x) * seed)

    _assert_close(layer(given["x"]), expected["y"], "y")
    slope = bp.grad(lambda x, seed: total(layer, x, seed))(given["x"], given["seed"])
    _assert_close(slope, expected["dx"], "dx")
    gradients = bp.Trainer(layer, objective=total, dtype=dtype).gradients(given["x"], given["seed"])
    assert list(gradients) == ["weight", "bias"]
    for name, value in gradients.items():
        _assert_close(value, expected[f"d{name}"], f"d{name}")
