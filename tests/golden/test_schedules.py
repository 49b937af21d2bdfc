"""Schedules give the learning rates of PyTorch's schedulers, step by step (see make_schedules.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, schedules
from bpcore.callbacks import ReduceLROnPlateau
from tests.support.scripts import constant
from tests.training.problems import network

CASES = {
    "step": schedules.Step(0.3, 50, 0.7),
    "step_default": schedules.Step(0.3, 90),
    "multi_step": schedules.MultiStep(0.3, [1, 30, 31, 500], 0.3),
    "constant": schedules.Piecewise([40], [0.075, 0.3]),
    "exponential": schedules.Exponential(0.3, 0.985),
    "exponential_up": schedules.Exponential(1e-7, 1.02),
    "linear": schedules.Linear(0.3, 300, 0.05),
    "linear_default": schedules.Linear(0.3, 60),
    "linear_down": schedules.Linear(0.3, 600, 1.0, 0.0),
    "polynomial": schedules.Polynomial(0.3, 500),
    "polynomial_square": schedules.Polynomial(0.3, 500, 2.0),
    "polynomial_root": schedules.Polynomial(0.3, 650, 0.5),
    "cosine": schedules.Cosine(0.3, 400),
    "cosine_min": schedules.Cosine(0.3, 333, 0.01),
    "cosine_periodic": schedules.Cosine(0.3, 100, 0.02, periodic=True),
    "restarts": schedules.CosineRestarts(0.3, 60),
    "restarts_longer": schedules.CosineRestarts(0.3, 7, 2, 0.01),
    "restarts_thrice": schedules.CosineRestarts(0.3, 1, 3),
    "one_cycle": schedules.OneCycle(0.3, 700),
    "one_cycle_linear": schedules.OneCycle(
        0.3, 700, pct_start=0.123, anneal_strategy="linear", div_factor=7.0, final_div_factor=50.0
    ),
    "one_cycle_three": schedules.OneCycle(0.3, 700, pct_start=0.4, three_phase=True),
    "one_cycle_three_linear": schedules.OneCycle(
        0.3, 333, pct_start=0.21, three_phase=True, anneal_strategy="linear"
    ),
    "one_cycle_down": schedules.OneCycle(0.3, 500, pct_start=0.0),
    "one_cycle_up": schedules.OneCycle(0.3, 500, pct_start=1.0),
    "cyclic": schedules.Cyclic(0.3, base_lr=0.01, step_size_up=50),
    "cyclic_halved": schedules.Cyclic(
        0.3, base_lr=0.01, step_size_up=20, step_size_down=35, mode="triangular2"
    ),
    "cyclic_exponential": schedules.Cyclic(
        0.3, base_lr=0.01, step_size_up=40, step_size_down=20, mode="exp_range", gamma=0.99
    ),
    "lambda": schedules.Lambda(0.3, lambda step: 1 / (1 + 0.01 * step)),
    "warmup": schedules.Warmup(schedules.Cosine(0.3, 500, 0.003), 80, 0.1),
    "sequential": schedules.Sequential(
        [0.03, schedules.Exponential(0.3, 0.99), schedules.Step(0.3, 100, 0.5)], [20, 250]
    ),
    "product": schedules.Product(
        [
            schedules.Linear(0.3, 100, 0.2),
            schedules.Exponential(1, 0.995),
            schedules.MultiStep(1, [300, 500], 0.5),
        ]
    ),
}

PLATEAUS: dict[str, tuple[float, dict[str, Any]]] = constant(
    Path(__file__).with_name("make_schedules.py"), "PLATEAUS"
)


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("schedules.npz")) as file:
        return dict(file)


def test_every_case_of_the_file_is_compared() -> None:
    assert {name for name in _golden() if "/" not in name} == set(CASES)
    assert {name.split("/")[1] for name in _golden() if "/" in name} == set(PLATEAUS)


@pytest.mark.parametrize("name", CASES)
def test_rates_follow_pytorch(name: str) -> None:
    expected = _golden()[name]
    rates = CASES[name].values(0, len(expected))
    assert len(expected) > 300
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", PLATEAUS)
def test_reductions_follow_pytorch(name: str) -> None:
    values, expected = _golden()[f"plateau/{name}/values"], _golden()[f"plateau/{name}/rates"]
    base, options = PLATEAUS[name]
    trainer = bp.Trainer(network(1, in_features=1), "mse", optim.SGD(base))
    trainer.step([[1.0]], [[1.0]])
    callback = ReduceLROnPlateau("loss", **options)
    found = []
    for value in values:
        callback.on_epoch_end(trainer, {"loss": float(value)})
        found.append(trainer.optimizer.rates(trainer.steps, 1)[0])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_array_equal(np.diff(found) != 0, np.diff(expected) != 0)
    assert len(np.unique(expected)) >= 3
