"""A thousand steps of every optimizer that PyTorch has follow PyTorch's (see make_optimizers.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from tests.support.scripts import constant

_HERE = Path(__file__).parent
CASES: dict[str, tuple[str, dict[str, Any]]] = constant(_HERE / "make_optimizers.py", "CASES")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(_HERE / "optimizers.npz") as file:
        return dict(file)


def _parameters(golden: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in golden.items() if name.startswith(prefix)}


@pytest.mark.parametrize("case", CASES)
def test_a_thousand_steps_follow_pytorch(case: str, golden: dict[str, np.ndarray]) -> None:
    kind, options = CASES[case]
    model = nn.Sequential(nn.Dense(5, "sigmoid", in_features=4), nn.Dense(3))
    model.build(4, dtype="float64")
    for name, value in _parameters(golden, "start/").items():
        model.parameters[name][...] = value
    trainer = bp.Trainer(model, "mse", getattr(optim, kind)(**options), dtype="float64")
    batches = [*zip(golden["x"].reshape(20, 8, 4), golden["y"].reshape(20, 8, 3), strict=True)]
    for step in range(1, 1001):
        trainer.step(*batches[(step - 1) % 20])
        if step not in (1, 20, 100, 1000):
            continue
        for name, value in _parameters(golden, f"{case}/{step}/").items():
            error = float(np.abs(trainer.parameters[name] - value).max() / np.abs(value).max())
            assert error <= 1e-6, f"{name} after {step} steps: relative error {error:.2e}"
