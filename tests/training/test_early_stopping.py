"""EarlyStopping: which epochs count, when it stops, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, EarlyStopping
from tests.training.problems import bits, blobs, network


def _trainer(**options: Any) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], **options)


def _fit(trainer: bp.Trainer, *callbacks: Callback, epochs: int = 2, **options: Any) -> bp.History:
    x, y = blobs(40)
    return trainer.fit(
        x, y, epochs=epochs, batch_size=16, callbacks=list(callbacks), progress=False, **options
    )


class Scripted(EarlyStopping):
    """Is shown the values of a script in place of the real ones, and keeps the bits of each epoch."""

    def __init__(self, values: list[float], **options: Any) -> None:
        super().__init__(**{"monitor": "loss", **options})
        self.values = values
        self.bits: list[bytes] = []

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.bits.append(bits(trainer))
        super().on_epoch_end(trainer, {self.monitor: self.values[len(self.bits) - 1]})


@pytest.mark.parametrize(
    ("values", "options", "best", "done"),
    [
        ([5, 4, 3, 4, 5, 1], {"patience": 2}, 3, 5),
        ([5, 4, 4, 4, 3, 9], {"patience": 3}, 5, 6),
        ([5, 6, 4, 5, 3, 4], {"patience": 2}, 5, 6),
        ([5, 4.9, 4.8, 4.7, 4.6, 1], {"patience": 2, "min_delta": 0.5}, 1, 3),
        ([1, 2, 3, 2, 1, 9], {"patience": 2, "mode": "max"}, 3, 5),
        ([np.nan, 4, np.nan, np.nan, 3, 3], {"patience": 2}, 2, 4),
    ],
)
def test_early_stopping_stops_and_restores_the_best_epochs_bits(
    values: list[float], options: dict[str, Any], best: int, done: int
) -> None:
    trainer, stopping = _trainer(), Scripted(values, **options)
    history = _fit(trainer, stopping, epochs=6)
    assert len(history.epochs) == done
    assert stopping.best_epoch == best
    assert stopping.best == values[best - 1]
    assert bits(trainer) == stopping.bits[best - 1]
    assert stopping.bits[best - 1] != stopping.bits[done - 1]


def test_early_stopping_looks_at_accuracy_from_the_other_side() -> None:
    stopping = Scripted([0.1, 0.5, 0.4, 0.3, 0.9, 0.9], monitor="accuracy", patience=2)
    assert len(_fit(_trainer(), stopping, epochs=6).epochs) == 4
    assert stopping.best == 0.5


def test_early_stopping_without_restoring_keeps_the_last_bits() -> None:
    trainer, stopping = _trainer(), Scripted([1, 2, 3], patience=2, restore_best=False)
    _fit(trainer, stopping, epochs=3)
    assert bits(trainer) == stopping.bits[2]


def test_early_stopping_begins_anew_with_each_fit() -> None:
    trainer, stopping = _trainer(), Scripted([1, 2, 9, 8, 7], patience=1)
    assert len(_fit(trainer, stopping, epochs=2).epochs) == 2
    assert len(_fit(trainer, stopping, epochs=3).epochs) == 3
    assert stopping.best == 7


def test_early_stopping_on_real_validation_data() -> None:
    """Labels are noise, so that it overfits; what is left is the best epoch's validation loss."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype(np.float32), rng.integers(0, 3, 40)
    held_out = rng.normal(size=(40, 4)).astype(np.float32), rng.integers(0, 3, 40)
    trainer = bp.Trainer(network(32, 3), "cross_entropy", optim.Adam(0.02))
    stopping = EarlyStopping(patience=3)
    history = trainer.fit(x, y, epochs=100, validation_data=held_out, callbacks=[stopping], progress=False)
    assert len(history.epochs) == stopping.best_epoch + 3 < 100  # type: ignore[operator]
    assert stopping.best == min(history["val_loss"])
    assert trainer.evaluate(*held_out)["loss"] == stopping.best


def test_early_stopping_names_what_it_cannot_find_before_the_first_epoch() -> None:
    trainer = _trainer()
    with pytest.raises(ValueError, match="no 'val_loss' to look at.*needs validation data"):
        _fit(trainer, EarlyStopping())
    with pytest.raises(ValueError, match="no 'val_los'.*has loss, accuracy, val_loss, val_accuracy$"):
        _fit(trainer, EarlyStopping("val_los"), validation_data=blobs(20))
    assert trainer.steps == 0
    assert np.isfinite(trainer.step(*blobs(40)))


def test_a_loss_that_is_not_finite_ends_with_the_best_weights() -> None:
    x, y = blobs(40)
    trainer = _trainer()
    stopping = Scripted([2, 1, 3], patience=3)

    class Break(Callback):
        def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            if trainer.epochs == 3:
                trainer.parameters["0.weight"][...] = np.nan

    with pytest.raises(FloatingPointError, match="not finite"):
        trainer.fit(x, y, epochs=9, callbacks=[stopping, Break()], progress=False)
    assert bits(trainer) == stopping.bits[1]


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"patience": 1.5}, TypeError, "patience must be an integer"),
        ({"min_delta": -1}, ValueError, "min_delta must be finite and at least 0"),
        ({"min_delta": float("nan")}, ValueError, "min_delta must be finite"),
        ({"mode": "least"}, ValueError, "mode must be"),
        ({"restore_best": "no"}, TypeError, "restore_best must be True or False, got 'no'"),
        ({"monitor": 3}, TypeError, "EarlyStopping: monitor must be the name of a value, got 3"),
    ],
)
def test_early_stopping_checks_its_settings_when_made(
    options: dict[str, Any], error: type[Exception], fragment: str
) -> None:
    with pytest.raises(error, match=fragment):
        EarlyStopping(**options)
