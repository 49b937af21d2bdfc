"""Trainers that measure numbers as they are given: their model gives back its input."""

from __future__ import annotations

from typing import Any

import numpy as np

import bpcore as bp
from bpcore import nn, optim


def fixed(loss: Any, width: int, metrics: Any, **options: Any) -> bp.Trainer:
    """A trainer whose predictions are its inputs, (n, ..., width), and stay so in training."""
    model = nn.Sequential(nn.Dense(width, in_features=width))
    settings = {"dtype": "float64", "optimizer": optim.SGD(0.0), **options}
    trainer = bp.Trainer(model, loss, metrics=metrics, **settings)
    trainer.parameters["0.weight"][...] = np.eye(width)
    trainer.parameters["0.bias"][...] = 0
    return trainer


def everywhere(
    trainer: bp.Trainer, x: Any, y: Any, weight: Any = None, batch_size: int = 7, **options: Any
) -> list[dict[str, Any]]:
    """The values by evaluation, by an epoch of training, shuffled, and by its validation, in batches."""
    history = trainer.fit(
        x, y, epochs=1, batch_size=batch_size, sample_weight=weight, progress=False,
        validation_data=(x, y) if weight is None else (x, y, weight), **options,
    )  # fmt: skip
    names = trainer.evaluate(x, y, sample_weight=weight, batch_size=batch_size)
    return [
        names,
        {name: history[name][0] for name in names},
        {name: history[f"val_{name}"][0] for name in names},
    ]
