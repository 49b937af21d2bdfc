"""One schedule of each kind, and a short training with any of them."""

from __future__ import annotations

from typing import Any

import bpcore as bp
from bpcore import callbacks, optim, schedules
from tests.training.problems import blobs, network


def halving(step: int) -> float:
    return 0.5 ** (step // 100)


# One of each, with numbers that are not round.
DESCRIBED: dict[str, schedules.Schedule] = {
    "constant": schedules.Constant(0.03),
    "step": schedules.Step(0.03, 17, 0.83),
    "multi_step": schedules.MultiStep(0.03, (5, 64, 200), 0.31),
    "piecewise": schedules.Piecewise([10, 100], [0.01, 0.03, 0.002]),
    "exponential": schedules.Exponential(0.03, 0.997),
    "linear": schedules.Linear(0.03, 130, 0.1, 0.7),
    "polynomial": schedules.Polynomial(0.03, 210, 0.9),
    "inverse_sqrt": schedules.InverseSqrt(0.03, 70, 0.01),
    "cosine": schedules.Cosine(0.03, 170, 0.001),
    "cosine_periodic": schedules.Cosine(0.03, 17, 0.001, periodic=True),
    "cosine_restarts": schedules.CosineRestarts(0.03, 13, 2, 0.001),
    "one_cycle": schedules.OneCycle(0.03, 190, pct_start=0.37),
    "one_cycle_three": schedules.OneCycle(
        0.03, 190, pct_start=0.37, anneal_strategy="linear", three_phase=True
    ),
    "cyclic": schedules.Cyclic(0.03, base_lr=0.002, step_size_up=11, step_size_down=23, mode="triangular2"),
    "cyclic_exp": schedules.Cyclic(0.03, base_lr=0.002, step_size_up=11, mode="exp_range", gamma=0.991),
    "warmup": schedules.Warmup(schedules.CosineRestarts(0.03, 13), 37, 0.05),
    "sequential": schedules.Sequential(
        [schedules.Linear(0.03, 29), 0.02, schedules.Cosine(0.01, 99)], [29, 77]
    ),
    "product": schedules.Product([schedules.Exponential(0.03, 0.99), schedules.Warmup(1, 40)]),
}
EVERY = {
    **DESCRIBED,
    "lambda": schedules.Lambda(0.03, halving),
    "nested": schedules.Sequential([schedules.Warmup(halving, 33), schedules.Product([halving, 0.3])], [88]),
}


def fit(lr: Any, *watching: callbacks.Callback, epochs: int = 4) -> bp.Trainer:
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.SGD(lr, momentum=0.9))
    x, y = blobs(60)
    trainer.fit(x, y, epochs=epochs, batch_size=4, callbacks=list(watching), progress=False)
    return trainer
