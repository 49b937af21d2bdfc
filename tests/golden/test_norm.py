"""Normalisations give PyTorch's results, derivatives and running statistics (see make_norm.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

LAYERS: dict[str, Any] = {
    "batch": nn.BatchNorm,
    "batch_images": lambda: nn.BatchNorm(eps=1e-3, momentum=0.3),
    "batch_cumulative": lambda: nn.BatchNorm(momentum=None),
    "layer": nn.LayerNorm,
    "layer_two_axes": lambda: nn.LayerNorm((3, 4), eps=1e-3),
    "rms": nn.RMSNorm,
    "rms_eps": lambda: nn.RMSNorm((2, 5), eps=1e-2),
    "group": lambda: nn.GroupNorm(2),
    "group_images": lambda: nn.GroupNorm(3, eps=1e-3),
    "instance": lambda: nn.InstanceNorm(affine=True),
    "instance_images": lambda: nn.InstanceNorm(affine=True, eps=1e-3),
    "weight": lambda: nn.WeightNorm(nn.Dense(3)),
}


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("norm.npz")) as file:
        return dict(file)


def _below(prefix: str) -> dict[str, np.ndarray]:
    found = {n.removeprefix(prefix): value for n, value in _golden().items() if n.startswith(prefix)}
    return {name: value for name, value in found.items() if "/" not in name}


def _assert_close(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert actual.dtype == expected.dtype, what
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    assert error <= TOLERANCE[expected.dtype.name], f"{what}: relative error {error:.2e}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", LAYERS)
def test_every_step_is_pytorchs(case: str, dtype: str) -> None:
    given, expected = _below(f"{case}/"), _below(f"{case}/{dtype}/")
    inputs, seeds = given.pop("x").astype(dtype), given.pop("seed").astype(dtype)
    layer = LAYERS[case]()
    layer.build(inputs.shape[1:], dtype=dtype)
    names = {name: name.removeprefix("layer.") for name in layer.parameters}
    assert sorted(names.values()) == sorted(given)
    for name, value in layer.parameters.items():
        value[...] = given[names[name]]

    def total(model: Any, x: Any, seed: Any) -> Any:
        return ops.sum(model(x) * seed)

    trainer = bp.Trainer(layer, objective=total, optimizer=optim.SGD(0.0), dtype=dtype)
    for step, (x, seed) in enumerate(zip(inputs, seeds, strict=True)):
        with bp.training(0):
            _assert_close(layer(x), expected["y"][step], f"y of step {step}")
            slope = bp.grad(lambda v, g: total(layer, v, g))(x, seed)
        _assert_close(slope, expected["dx"][step], f"dx of step {step}")
        gradients = trainer.gradients(x, seed)
        for name, value in gradients.items():
            _assert_close(value, expected[f"d{names[name]}"][step], f"d{name} of step {step}")
        trainer.step(x, seed)
        for name in ("running_mean", "running_var"):
            if name in expected:
                _assert_close(getattr(layer, name).value, expected[name][step], f"{name} of step {step}")
    if case.startswith("batch"):
        _assert_close(layer(inputs[-1]), expected["inference"], "in inference")
        _assert_close(trainer.predict(inputs[-1]), expected["inference"], "predicted")
