"""Callbacks: what may happen between the steps of `Trainer.fit`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from bpcore import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.arrays import Array
    from bpcore.trainer import Trainer

__all__ = ["Callback", "EarlyStopping"]


class Callback:
    """Override what you need. Each method is given the trainer and the values known at that point.

    `trainer.epochs` and `trainer.steps` count what is done. Setting ``trainer.stop_training = True`` ends the
    run after the step, or the epoch, at hand. `trainer.history.names` are the names of the values that each
    epoch of the run will have.

    With `every_steps` set to N, `on_step` is called after every Nth step of the trainer, and the steps
    between run natively without a stop. A callback with an `on_step` must set it.
    """

    every_steps: int | None = None

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Before the first epoch of a run. `logs` is empty."""

    def on_epoch_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Before each epoch. `logs` is empty."""

    def on_step(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """After every Nth step. `logs` holds loss and metrics of that step's batch."""

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """After each epoch. `logs` holds its loss and metrics, with "val_" those of validation."""

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """At the end of a run, whatever ended it. `logs` holds the last epoch's values, if there was one.

        Every callback is told so, also after Ctrl-C, a loss that is not finite, and another callback's
        exception, which `fit` raises afterwards.
        """


class EarlyStopping(Callback):
    """Stops once `monitor` has not improved for `patience` epochs in a row.

    Args:
        monitor: name of the value to look at, such as "val_loss" or "val_accuracy".
        patience: epochs without improvement that are tolerated, at least 1.
        min_delta: how much better counts as an improvement, at least 0.
        mode: "min", "max", or "auto": "max" for names that contain "accuracy", else "min".
        restore_best: put the parameters and states of the best epoch back at the end of the run.

    Afterwards, `best` is the best value and `best_epoch` its epoch, None if there was none. A value that
    isn't there, as "val_loss" without validation data, is a ValueError before the first epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
        restore_best: bool = True,
    ) -> None:
        self.patience = settings.count("EarlyStopping", "patience", patience, 1)
        self.min_delta = settings.number("EarlyStopping", "min_delta", min_delta, least=0)
        settings.choice("EarlyStopping", "mode", mode, ("auto", "min", "max"))
        self.monitor = monitor
        self.mode = mode if mode != "auto" else ("max" if "accuracy" in monitor else "min")
        self.restore_best = restore_best
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._waited = 0
        self._kept: tuple[Array, Array] | None = None

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Starts anew; ValueError if there will be nothing to look at."""
        self._forget()
        names = trainer.history.names
        if self.monitor not in names:
            raise ValueError(
                f"EarlyStopping: there is no {self.monitor!r} to look at; this run has {', '.join(names)}"
                f"{' (val_ needs validation data)' if self.monitor.startswith('val_') else ''}"
            )

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Keeps the best values and counts the epochs since."""
        value = logs[self.monitor]
        if self._improves(value):
            self.best, self.best_epoch, self._waited = value, trainer.epochs, 0
            if self.restore_best:
                self._kept = trainer.snapshot()
            return
        self._waited += 1
        if self._waited >= self.patience:
            trainer.stop_training = True

    def _improves(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Puts the best epoch's values back."""
        if self._kept is not None:
            trainer.restore(self._kept)
            self._kept = None
