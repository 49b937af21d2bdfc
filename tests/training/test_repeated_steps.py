"""Steps on batches like the one before, which need no second look at shapes and plans: still steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from tests.training.problems import bits, blobs


def _batches(count: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = blobs(20 * count)
    return [(x[20 * i : 20 * (i + 1)], y[20 * i : 20 * (i + 1)]) for i in range(count)]


def _trainer(**options: Any) -> bp.Trainer:
    model = nn.Sequential(nn.Dense(8, "relu"), nn.Dropout(0.3), nn.Dense(3))
    return bp.Trainer(model, "cross_entropy", optim.Adam(0.01), **options)


def test_repeated_steps_are_steps() -> None:
    quick, slow = _trainer(), _trainer()
    for x, y in _batches():
        assert quick.step(x, y) == slow.step(x.tolist(), y.tolist())  # lists take the long way
    assert bits(quick) == bits(slow)
    assert quick.steps == slow.steps == 6


@pytest.mark.parametrize(
    ("which", "place", "value", "message"),
    [
        (0, (3, 1), np.nan, r"^step: x\[3, 1\] is nan; clean the data"),
        (1, 2, 3, r"^step: y\[2\] is 3, but cross_entropy takes integers from 0 to 2"),
        (1, 2, -1, r"^step: y\[2\] is -1, but cross_entropy takes integers from 0 to 2"),
    ],
)
def test_values_are_looked_at_in_repeated_steps(which: int, place: Any, value: float, message: str) -> None:
    trainer = _trainer()
    for x, y in _batches(2):
        trainer.step(x, y)
    before = bits(trainer)
    batch = [array.copy() for array in _batches(1)[0]]
    batch[which][place] = value
    with pytest.raises(ValueError, match=message):
        trainer.step(*batch)
    assert bits(trainer) == before
    assert trainer.steps == 2


def test_targets_of_a_loss_with_rules_are_looked_at_in_repeated_steps() -> None:
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
    y = np.array([0, 1, 0, 1, 1, 0], np.float32)[:, None]
    trainer = bp.Trainer(nn.Sequential(nn.Dense(1)), "binary_cross_entropy")
    for _ in range(2):
        trainer.step(x, y)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\], got 0.0 to 2.0"):
        trainer.step(x, 2 * y)


def test_what_changes_between_repeated_steps_is_noticed() -> None:
    (x, y), *_ = _batches(1)
    quick, slow = _trainer(), _trainer()
    for trainer, given in ((quick, (x, y)), (slow, (x.tolist(), y.tolist()))):
        model: Any = trainer.model
        trainer.step(*given)
        trainer.step(*given)
        model[0].freeze()
        trainer.step(*given)
        model[0].unfreeze()
        trainer.step(*given)
        model[1].rate = 0.6  # nothing else has changed since the last step
        trainer.step(*given)
        trainer.step(given[0][:7], given[1][:7])
        trainer.optimizer.lr = 0.1
        trainer.step(*given)
    assert bits(quick) == bits(slow)
    with pytest.raises(ValueError, match="has 20 samples, y has 19"):
        quick.step(x, y[:19])
    with pytest.raises(ValueError, match="3 features instead of 4"):
        quick.step(x[:, :3], y)
