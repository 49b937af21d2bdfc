"""ReduceLROnPlateau: which epochs count, what is reduced, and what a later `fit` finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, schedules
from bpcore.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from tests.training.problems import bits, blobs, network

NAN, INF = float("nan"), float("inf")
X, Y = blobs(40)


class Scripted(ReduceLROnPlateau):
    """Is given values in place of the true ones, one an epoch."""

    def __init__(self, values: list[float], monitor: str = "loss", **options: Any) -> None:
        super().__init__(monitor, **options)
        self.values = iter(values)
        self.scales: list[float] = []

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        super().on_epoch_end(trainer, {self.monitor: next(self.values)})
        self.scales.append(trainer.optimizer.scale)


def _trainer(lr: Any = 0.1) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.SGD(lr, momentum=0.9), metrics=["accuracy"])


def _fit(trainer: bp.Trainer, *callbacks: Callback, epochs: int) -> bp.History:
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=list(callbacks), progress=False)


@pytest.mark.parametrize(
    ("values", "options", "halvings"),
    [
        # More than `patience` epochs in a row, counted anew after each reduction.
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 2}, [0, 0, 0, 1, 1, 1, 2]),
        ([5, 6, 6, 4, 6, 6, 6], {"patience": 2}, [0, 0, 0, 0, 0, 0, 1]),
        ([5, 5, 4, 4, 5], {"patience": 0}, [0, 1, 1, 2, 3]),
        # A cooldown swallows what comes in it; what is better in it is the best all the same.
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 0, "cooldown": 2}, [0, 1, 1, 1, 2, 2, 2]),
        ([5, 5, 1, 2, 2, 2], {"patience": 0, "cooldown": 2}, [0, 1, 1, 1, 2, 2]),
        # "rel" is a part of the best value, "abs" is not.
        ([100, 95, 90.1, 81], {"patience": 0, "threshold": 0.1}, [0, 1, 2, 2]),
        ([100, 99.9, 99.8, 99.7], {"patience": 0, "threshold": 0.15, "threshold_mode": "abs"}, [0, 1, 1, 2]),
        # Below 0, PyTorch's rule lets what is a little worse pass.
        ([-100, -95, -85, -80], {"patience": 0, "threshold": 0.1}, [0, 0, 1, 2]),
        ([1, 1.05, 1.2, 1.25], {"patience": 0, "threshold": 0.1, "mode": "max"}, [0, 1, 1, 2]),
        # NaN is never better.
        ([5, NAN, NAN, 4, NAN], {"patience": 1}, [0, 0, 1, 1, 1]),
    ],
)
def test_which_epochs_reduce(values: list[float], options: dict[str, Any], halvings: list[int]) -> None:
    callback = Scripted(values, factor=0.5, **options)
    _fit(_trainer(), callback, epochs=len(values))
    assert callback.scales == [0.5**n for n in halvings]


def test_accuracy_is_looked_at_from_the_other_side() -> None:
    callback = Scripted([0.1, 0.5, 0.5, 0.9], "accuracy", factor=0.5, patience=0)
    _fit(_trainer(), callback, epochs=4)
    assert callback.scales == [1, 1, 0.5, 0.5]
    assert callback.best == 0.9


@pytest.mark.parametrize("lr", [0.1, schedules.Cosine(0.1, 20), lambda step: 0.1 / (1 + step)])
def test_the_next_step_has_the_reduced_rate(lr: Any) -> None:
    """Three steps an epoch; the rate is halved after the second and the third epoch."""
    reduced, twin = _trainer(lr), _trainer(lambda step: float(optim.SGD(lr).rates(step, 1)[0]) * twin_scale)
    _fit(reduced, Scripted([5, 5, 5, 4], factor=0.5, patience=0), epochs=4)
    for twin_scale in (1, 1, 0.5, 0.25):  # noqa: B007 - the twin's rate reads it
        _fit(twin, epochs=1)
    assert bits(reduced) == bits(twin)


def test_min_lr_bounds_the_rate_itself() -> None:
    trainer = _trainer(0.1)
    _fit(trainer, Scripted([5] * 6, factor=0.1, patience=0, min_lr=0.004), epochs=6)
    assert trainer.optimizer.rates(0, 1) == pytest.approx(0.004, rel=1e-15)
    # With a schedule it is that of the last step: 0.1 · 0.9^2 at the end of the first epoch, and so on.
    trainer = _trainer(schedules.Exponential(0.1, 0.9))
    _fit(trainer, Scripted([5, 5], factor=0.1, patience=0, min_lr=0.03), epochs=2)
    assert trainer.optimizer.rates(5, 1) == pytest.approx(0.03, rel=1e-14)
    trainer = _trainer(0.001)
    _fit(trainer, Scripted([5] * 4, patience=0, min_lr=0.01), epochs=4)
    assert trainer.optimizer.scale == 1, "never raised"


def test_eps_leaves_a_rate_alone_that_would_hardly_change() -> None:
    callback = Scripted([5] * 5, factor=0.5, patience=0, eps=0.02)
    _fit(_trainer(0.1), callback, epochs=5)
    assert callback.scales == [1, 0.5, 0.25, 0.25, 0.25]


def test_a_table_of_rates_is_asked_for_no_step_beyond_its_end() -> None:
    rates = [0.1] * 6
    trainer = _trainer(lambda step: rates[step])
    _fit(trainer, Scripted([5, 5], factor=0.5, patience=0), epochs=2)
    assert trainer.optimizer.scale == 0.5


def test_it_begins_anew_with_each_fit_but_the_scale_stays() -> None:
    trainer, callback = _trainer(), Scripted([5, 5, 9, 8, 8], factor=0.5, patience=0)
    _fit(trainer, callback, epochs=2)
    assert trainer.optimizer.scale == 0.5
    _fit(trainer, callback, epochs=3)
    assert callback.scales == [1, 0.5, 0.5, 0.5, 0.25]
    trainer.optimizer.lr = 0.1
    assert trainer.optimizer.scale == 1


def test_a_loaded_trainer_goes_on_at_the_reduced_rate(tmp_path: Path) -> None:
    trainer = _trainer()
    _fit(trainer, Scripted([5, 5, 5], factor=0.3, patience=0), epochs=3)
    trainer.save(tmp_path / "run")
    loaded = bp.Trainer.load(tmp_path / "run", network(8, 3))
    assert loaded.optimizer.scale == trainer.optimizer.scale == pytest.approx(0.09)
    for each in (trainer, loaded):
        _fit(each, epochs=1)
    assert bits(loaded) == bits(trainer)


def test_on_a_real_plateau_it_gets_closer_to_the_minimum() -> None:
    """Noisy batches make a constant rate wander about the minimum; a reduced one settles."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]]) + rng.normal(size=(200, 1))).astype(np.float32)
    losses = []
    for callbacks in (
        [],
        [ReduceLROnPlateau("loss", factor=0.3, patience=2), EarlyStopping("loss", patience=40)],
    ):
        trainer = bp.Trainer(network(1), "mse", optim.SGD(0.2))
        trainer.fit(x, y, epochs=40, batch_size=5, callbacks=callbacks, progress=False)
        losses.append(trainer.evaluate(x, y)["loss"])
    least = np.linalg.lstsq(np.column_stack([x, np.ones(200)]), y, rcond=None)[1][0] / 200
    assert losses[1] - least < 0.1 * (losses[0] - least)


def test_it_names_what_it_cannot_find_before_the_first_epoch() -> None:
    trainer = _trainer()
    with pytest.raises(
        ValueError, match="ReduceLROnPlateau: there is no 'val_loss' to look at.*validation data"
    ):
        _fit(trainer, ReduceLROnPlateau(), epochs=1)
    assert trainer.steps == 0


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"factor": 1.0}, ValueError, "factor must be in (0, 1), got 1.0"),
        ({"factor": 0}, ValueError, "factor must be in (0, 1), got 0"),
        ({"factor": NAN}, ValueError, "factor must be in (0, 1), got nan"),
        ({"factor": True}, TypeError, "factor must be a number, got True"),
        ({"patience": -1}, ValueError, "patience must be at least 0, got -1"),
        ({"patience": 2.0}, TypeError, "patience must be an integer, got 2.0"),
        ({"threshold": -1e-4}, ValueError, "threshold must be finite and at least 0"),
        ({"threshold": INF}, ValueError, "threshold must be finite and at least 0"),
        ({"threshold_mode": "part"}, ValueError, 'threshold_mode must be "rel" or "abs", got \'part\''),
        ({"cooldown": -1}, ValueError, "cooldown must be at least 0, got -1"),
        ({"min_lr": -0.1}, ValueError, "min_lr must be finite and at least 0"),
        ({"min_lr": [0.1]}, TypeError, "min_lr must be a number, got [0.1]"),
        ({"mode": "least"}, ValueError, 'mode must be "auto", "min" or "max", got \'least\''),
        ({"eps": -1}, ValueError, "eps must be finite and at least 0"),
    ],
)
def test_settings_are_checked_when_made(
    options: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    with pytest.raises(error) as caught:
        ReduceLROnPlateau(**options)
    assert f"ReduceLROnPlateau: {fragment}" in str(caught.value)
    assert math.isinf(ReduceLROnPlateau().best)
