"""Stopping when nothing gets better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bpcore.basics import settings
from bpcore.callbacks.base import Monitoring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.basics.arrays import Array
    from bpcore.trainer import Trainer

__all__ = ["EarlyStopping"]


class EarlyStopping(Monitoring):
    """Stops once `monitor` has not improved for `patience` epochs in a row.

    Args:
        monitor: name of the value to look at, such as "val_loss" or "val_accuracy".
        patience: epochs without improvement that are tolerated, at least 1.
        min_delta: how much better counts as an improvement, at least 0.
        mode: "min", "max", or "auto": "max" for metrics of which more is better, as "accuracy" and "f1".
        restore_best: put the parameters and states of the best epoch back at the end of the run.

    Afterwards, `best` is the best value and `best_epoch` its epoch, None if there was none. A value that
    isn't there, as "val_loss" without validation data, is a ValueError before the first epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor, mode)
        self.patience = settings.count("EarlyStopping", "patience", patience, 1)
        self.min_delta = settings.number("EarlyStopping", "min_delta", min_delta, least=0)
        self.restore_best = settings.flag("EarlyStopping", "restore_best", restore_best)
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._waited = 0
        self._kept: tuple[Array, Array] | None = None

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Keeps the best values and counts the epochs since."""
        value = self._value(logs)
        if self._improves(value):
            self.best, self.best_epoch, self._waited = value, trainer.epochs, 0
            if self.restore_best:
                self._kept = trainer.snapshot()
            return
        self._waited += 1
        if self._waited >= self.patience:
            since = "once" if self.best_epoch is None else f"since epoch {self.best_epoch}"
            trainer.stop(f"early_stopping: {self.monitor} has not improved {since}")

    def _improves(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None:
            return True
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Puts the best epoch's values back."""
        if self._kept is not None:
            trainer.restore(self._kept)
            self._kept = None

    def state(self) -> dict[str, Any]:
        """The best value and its epoch, the epochs since, and the parameters and states that were kept."""
        best = None if self.best is None else np.array(self.best)  # an array, as it may be infinite
        kept = {} if self._kept is None else {"parameters": self._kept[0], "states": self._kept[1]}
        return {"best": best, "best_epoch": self.best_epoch, "waited": self._waited, **kept}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.best = None if state["best"] is None else float(state["best"])
        self.best_epoch, self._waited = state["best_epoch"], state["waited"]
        self._kept = None
        if self.restore_best and "parameters" in state:
            self._kept = np.array(state["parameters"]), np.array(state["states"])
