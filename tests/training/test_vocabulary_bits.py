"""The bits of a training that uses much of the vocabulary at once, for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim, schedules
from bpcore._native import core
from tests.training.problems import bits

ROWS, FEATURES, CLASSES = 700, 96, 10
FROZEN = "4"  # the second Dense


def _model(dtype: str) -> nn.Sequential:
    model = nn.Sequential(
        nn.Dense(256),
        nn.BatchNorm(),
        nn.SiLU(),
        nn.Dropout(0.3),
        nn.Dense(200, "selu", kernel_regularizer=nn.L1(1e-5)),
        nn.AlphaDropout(0.1),
        nn.GaussianNoise(0.2),
        nn.Dense(120, kernel_constraint=nn.MaxNorm(1.5)),
        nn.LayerNorm(),
        nn.Dense(CLASSES),
    )
    model.build(FEATURES, dtype=dtype)
    model[int(FROZEN)].freeze()
    return model


def _lamb() -> optim.Optimizer:
    return optim.LAMB(schedules.Warmup(schedules.Cosine(5e-3, 6), 3), weight_decay=0.01)


def _grouped() -> optim.Optimizer:
    groups = [
        optim.Group("0", lr=schedules.Exponential(1e-2, 0.9), betas=(0.8, 0.99)),
        optim.Group(max_ndim=1, weight_decay=0.0),
        optim.Group(["4", "9.weight"], lr=lambda step: 1e-3 / (1 + step)),
    ]
    return optim.AdamW(2e-3, weight_decay=0.1, groups=groups)


def _everything(trainer: bp.Trainer, x: np.ndarray) -> dict[str, Any]:
    """All that a training leaves behind, in bytes where it is arrays."""
    parameters, states = trainer.snapshot()
    return {
        "parameters": parameters.tobytes(),
        "states": states.tobytes(),
        "averages": bits(trainer.averaged_model()),
        "optimizer": {name: value.tobytes() for name, value in trainer.optimizer_state.items()},
        "history": {name: trainer.history[name] for name in trainer.history},
        "prediction": trainer.predict(x).tobytes(),
    }


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [_lamb, _grouped])
def test_the_number_of_threads_changes_no_bit_and_frozen_layers_stay(
    optimizer: Callable[[], optim.Optimizer], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Any] = []
    session = core.Session

    def noting(plan: Any, *arguments: Any, **options: Any) -> Any:
        plans.append(plan)
        return session(plan, *arguments, **options)

    monkeypatch.setattr(core, "Session", noting)
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(ROWS, FEATURES)).astype(dtype), rng.integers(0, CLASSES, ROWS)

    def trained(threads: int) -> dict[str, Any]:
        model = _model(dtype)
        start = {name: value.tobytes() for name, value in model.parameters.items()}
        trainer = bp.Trainer(
            model, "cross_entropy", optimizer(), metrics=["accuracy"], threads=threads, clip_norm=0.5,
            ema=0.9, regularizer=nn.L2(1e-4), dtype=dtype,
        )  # fmt: skip
        trainer.fit(x, y, epochs=3, batch_size=128, accumulate=2, validation_split=0.1, progress=False)
        same = {name for name, value in trainer.parameters.items() if value.tobytes() == start[name]}
        assert same == {f"{FROZEN}.weight", f"{FROZEN}.bias"}
        averages = trainer.averaged_model().parameters
        assert all(averages[name].tobytes() == start[name] for name in same)
        moments = [value for name, value in trainer.optimizer_state.items() if f"exp_avg.{FROZEN}." in name]
        assert len(moments) == 2
        assert not any(value.any() for value in moments)
        return _everything(trainer, x)

    one = trained(1)
    assert max(plan.threads(2) for plan in plans) == 2, "the network is too small: nothing uses a thread"
    for threads in (2, 3, 8):
        more = trained(threads)
        assert [name for name, value in more.items() if value != one[name]] == [], threads
