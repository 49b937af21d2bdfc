"""Makes schedules.npz: the learning rates of PyTorch's schedulers, step by step.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13):

    python tests/golden/make_schedules.py

It needs nothing of bpcore, so that the file can't inherit its errors. It holds, for a case NAME:
    NAME                    (steps,): the rates of steps 0, 1, ... (see SCHEDULES)
    plateau/NAME/values     (epochs,): a value for each epoch, as ReduceLROnPlateau is given it
    plateau/NAME/rates      (epochs,): the rate after each (see PLATEAUS)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler as lrs

STEPS = 700
EPOCHS = 120

# Name -> (base rate, what makes the scheduler of an optimizer, number of steps).
SCHEDULES: dict[str, tuple[float, Callable[[torch.optim.Optimizer], Any], int]] = {
    "step": (0.3, lambda o: lrs.StepLR(o, 50, 0.7), STEPS),
    "step_default": (0.3, lambda o: lrs.StepLR(o, 90), STEPS),
    "multi_step": (0.3, lambda o: lrs.MultiStepLR(o, [1, 30, 31, 500], 0.3), STEPS),
    "constant": (0.3, lambda o: lrs.ConstantLR(o, 0.25, 40), STEPS),
    "exponential": (0.3, lambda o: lrs.ExponentialLR(o, 0.985), STEPS),
    "exponential_up": (1e-7, lambda o: lrs.ExponentialLR(o, 1.02), STEPS),
    "linear": (0.3, lambda o: lrs.LinearLR(o, 0.05, 1.0, 300), STEPS),
    "linear_default": (0.3, lambda o: lrs.LinearLR(o, total_iters=60), STEPS),
    "linear_down": (0.3, lambda o: lrs.LinearLR(o, 1.0, 0.0, 600), STEPS),
    "polynomial": (0.3, lambda o: lrs.PolynomialLR(o, 500, 1.0), STEPS),
    "polynomial_square": (0.3, lambda o: lrs.PolynomialLR(o, 500, 2.0), STEPS),
    "polynomial_root": (0.3, lambda o: lrs.PolynomialLR(o, 650, 0.5), STEPS),
    "cosine": (0.3, lambda o: lrs.CosineAnnealingLR(o, 400), 401),
    "cosine_min": (0.3, lambda o: lrs.CosineAnnealingLR(o, 333, 0.01), 334),
    "cosine_periodic": (0.3, lambda o: lrs.CosineAnnealingLR(o, 100, 0.02), STEPS),
    "restarts": (0.3, lambda o: lrs.CosineAnnealingWarmRestarts(o, 60), STEPS),
    "restarts_longer": (0.3, lambda o: lrs.CosineAnnealingWarmRestarts(o, 7, 2, 0.01), STEPS),
    "restarts_thrice": (0.3, lambda o: lrs.CosineAnnealingWarmRestarts(o, 1, 3), STEPS),
    "one_cycle": (0.0, lambda o: lrs.OneCycleLR(o, 0.3, STEPS, cycle_momentum=False), STEPS),
    "one_cycle_linear": (
        0.0,
        lambda o: lrs.OneCycleLR(
            o, 0.3, STEPS, pct_start=0.123, anneal_strategy="linear", div_factor=7.0, final_div_factor=50.0,
            cycle_momentum=False,
        ),
        STEPS,
    ),
    "one_cycle_three": (
        0.0,
        lambda o: lrs.OneCycleLR(o, 0.3, STEPS, pct_start=0.4, three_phase=True, cycle_momentum=False),
        STEPS,
    ),
    "one_cycle_three_linear": (
        0.0,
        lambda o: lrs.OneCycleLR(
            o, 0.3, 333, pct_start=0.21, three_phase=True, anneal_strategy="linear", cycle_momentum=False
        ),
        333,
    ),
    "one_cycle_down": (
        0.0,
        lambda o: lrs.OneCycleLR(o, 0.3, 500, pct_start=0.0, cycle_momentum=False),
        500,
    ),
    "one_cycle_up": (
        0.0,
        lambda o: lrs.OneCycleLR(o, 0.3, 500, pct_start=1.0, cycle_momentum=False),
        500,
    ),
    "cyclic": (0.0, lambda o: lrs.CyclicLR(o, 0.01, 0.3, 50, cycle_momentum=False), STEPS),
    "cyclic_halved": (
        0.0,
        lambda o: lrs.CyclicLR(o, 0.01, 0.3, 20, 35, mode="triangular2", cycle_momentum=False),
        STEPS,
    ),
    "cyclic_exponential": (
        0.0,
        lambda o: lrs.CyclicLR(o, 0.01, 0.3, 40, 20, mode="exp_range", gamma=0.99, cycle_momentum=False),
        STEPS,
    ),
    "lambda": (0.3, lambda o: lrs.LambdaLR(o, lambda step: 1 / (1 + 0.01 * step)), STEPS),
    "warmup": (
        0.3,
        lambda o: lrs.SequentialLR(
            o, [lrs.LinearLR(o, 0.1, 1.0, 80), lrs.CosineAnnealingLR(o, 500, 0.003)], [80]
        ),
        581,
    ),
    "sequential": (
        0.3,
        lambda o: lrs.SequentialLR(
            o,
            [lrs.ConstantLR(o, 0.1, 1000), lrs.ExponentialLR(o, 0.99), lrs.StepLR(o, 100, 0.5)],
            [20, 250],
        ),
        STEPS,
    ),
    "product": (
        0.3,
        lambda o: lrs.ChainedScheduler(
            [lrs.LinearLR(o, 0.2, 1.0, 100), lrs.ExponentialLR(o, 0.995), lrs.MultiStepLR(o, [300, 500], 0.5)]
        ),
        STEPS,
    ),
}  # fmt: skip

# Name -> (rate at first, arguments of ReduceLROnPlateau).
PLATEAUS: dict[str, tuple[float, dict[str, Any]]] = {
    "default": (0.3, {}),
    "impatient": (0.3, {"patience": 0, "factor": 0.9}),
    "absolute": (0.3, {"patience": 2, "factor": 0.5, "threshold": 0.05, "threshold_mode": "abs"}),
    "relative": (0.3, {"patience": 2, "factor": 0.5, "threshold": 0.05}),
    "cooldown": (0.3, {"patience": 1, "factor": 0.5, "cooldown": 4}),
    "limit": (0.3, {"patience": 1, "factor": 0.3, "min_lr": 0.004}),
    "max": (0.3, {"mode": "max", "patience": 2, "factor": 0.5}),
    "max_absolute": (
        0.3,
        {
            "mode": "max",
            "patience": 1,
            "factor": 0.5,
            "threshold": 0.02,
            "threshold_mode": "abs",
            "cooldown": 1,
        },
    ),
    "eps": (1e-6, {"patience": 0, "factor": 0.5, "eps": 1e-7}),
}


def rates(base: float, make: Callable[[torch.optim.Optimizer], Any], steps: int) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


def epoch_values(rng: np.random.Generator) -> np.ndarray:
    """Values that fall, then stay about where they are; some equal, some NaN, some negative at the end."""
    values = np.exp(-np.arange(EPOCHS) / 25) - 0.2 + 0.03 * rng.normal(size=EPOCHS)
    values[[3, 40, 41, 42]] = values[2], np.nan, np.nan, values[39]
    return values


def plateau(base: float, options: dict[str, Any], values: np.ndarray) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = lrs.ReduceLROnPlateau(optimizer, **options)
    found = []
    for value in values:
        scheduler.step(value)
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


def main() -> None:
    warnings.simplefilter("ignore")  # PyTorch's own, of SequentialLR
    arrays = {name: rates(*case) for name, case in SCHEDULES.items()}
    rng = np.random.default_rng(21)
    for name, (base, options) in PLATEAUS.items():
        values = epoch_values(rng)
        if options.get("mode") == "max":
            values = -values
        arrays |= {f"plateau/{name}/values": values, f"plateau/{name}/rates": plateau(base, options, values)}
    np.savez_compressed(Path(__file__).with_name("schedules.npz"), **arrays)


if __name__ == "__main__":
    main()
