"""A run that may be killed at any moment and started again: python resume_child.py FOLDER dense|lstm"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import bpcore as bp
from bpcore import callbacks, nn, optim, schedules
from tests.training.problems import blobs


def dense() -> tuple[bp.Trainer, dict[str, Any]]:
    """Dropout, batch statistics, Adam, a schedule, EarlyStopping, a moving average."""
    model = nn.Sequential(
        nn.Dense(16, "relu"),
        nn.BatchNorm(),
        nn.Dropout(0.3),
        nn.Dense(16, "tanh"),
        nn.Dropout(0.2),
        nn.Dense(3),
    )
    rate = schedules.Cosine(0.02, 1800)
    trainer = bp.Trainer(
        model, "cross_entropy", optim.Adam(rate), metrics=["accuracy"], seed=5, clip_norm=1.0, ema=0.9
    )
    x, y = blobs(207, seed=3)
    x = x + np.random.default_rng(1).normal(size=x.shape).astype("float32")
    held_out = (x[160:], y[160:])
    listeners = [callbacks.EarlyStopping(patience=60), callbacks.ReduceLROnPlateau(patience=4)]
    return trainer, {
        "x": x[:160],
        "y": y[:160],
        "validation_data": held_out,
        "batch_size": 7,
        "epochs": 80,
        "callbacks": listeners,
    }


def lstm() -> tuple[bp.Trainer, dict[str, Any]]:
    """A layer that carries its state from batch to batch."""
    model = nn.Sequential(nn.LSTM(6, True, stateful=True, in_features=2), nn.Dropout(0.2), nn.Dense(2))
    x = np.random.default_rng(2).normal(size=(4 * 30, 5, 2)).astype("float32")
    trainer = bp.Trainer(model, "mse", optim.Adam(0.01), seed=1)
    return trainer, {
        "x": x,
        "y": np.cumsum(x, axis=1),
        "batch_size": 4,
        "epochs": 60,
        "shuffle": False,
        "callbacks": [],
    }


KINDS = {"dense": dense, "lstm": lstm}


def run(folder: Path, kind: str, every_steps: int = 1) -> bp.Trainer:
    """Goes on from where the last process got, to the end; writes result.safetensors there."""
    trainer, settings = KINDS[kind]()
    x, y = settings.pop("x"), settings.pop("y")
    path = folder / "run.safetensors"
    settings["callbacks"].append(callbacks.Checkpoint(path, every_steps=every_steps, keep=2))
    trainer.fit(x, y, resume=path, progress=False, **settings)
    trainer.history._seconds = [0.0] * len(trainer.history.epochs)  # times differ
    trainer.save(folder / "result.safetensors")
    return trainer


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
