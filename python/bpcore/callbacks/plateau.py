"""A smaller learning rate when nothing gets better."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bpcore.basics import settings
from bpcore.callbacks.base import Monitoring, last_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.trainer import Trainer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Monitoring):
    """Reduces the learning rate after more than `patience` epochs without improvement of `monitor`.

    Decides as PyTorch's ReduceLROnPlateau does: a value is better if it is below best · (1 - threshold), or
    above best · (1 + threshold) for "max" ("rel"), or below best - threshold, or above best + threshold
    ("abs"). NaN never is. Each epoch that is not better counts, up to the next better one; when the count
    exceeds `patience`, the rate is reduced and the count begins again.

    What is multiplied is the optimizer's `scale`, so it works with a number, a schedule and a function alike.
    The rate that `min_lr` and `eps` speak of is that of the last step.

    Args:
        monitor: name of the value to look at, such as "val_loss" or "val_accuracy".
        factor: what the rate is multiplied by, in (0, 1).
        patience: epochs without improvement that are tolerated, ≥ 0.
        threshold: how much better counts as an improvement, ≥ 0.
        threshold_mode: "rel", a part of the best value, or "abs", which negative values need: by "rel", one
            that is worse than the best by less than that part counts as better.
        cooldown: epochs after a reduction that don't count, ≥ 0.
        min_lr: the rate is not reduced below it, ≥ 0.
        mode: "min", "max", or "auto": "max" for metrics of which more is better, as "accuracy" and "f1".
        eps: a rate that would change by no more than this stays as it is, ≥ 0.

    Begins anew with each `fit`; the optimizer's `scale` stays, and is saved with the trainer. A value that
    isn't there, as "val_loss" without validation data, is a ValueError before the first epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
        eps: float = 1e-8,
    ) -> None:
        super().__init__(monitor, mode)
        who = "ReduceLROnPlateau"
        self.factor = settings.number(who, "factor", factor, above=0, below=1)
        self.patience = settings.count(who, "patience", patience, 0)
        self.threshold = settings.number(who, "threshold", threshold, least=0)
        self.threshold_mode = settings.choice(who, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = settings.count(who, "cooldown", cooldown, 0)
        self.min_lr = settings.number(who, "min_lr", min_lr, least=0)
        self.eps = settings.number(who, "eps", eps, least=0)
        self._forget()

    def _forget(self) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf
        self._bad = 0  # epochs since the best, or since the last reduction
        self._cooling = 0  # epochs that don't count yet

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Counts the epoch if it is not better, and reduces the rate if it is one too many."""
        value = self._value(logs)
        if self._improves(value):
            self.best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience:
            self._reduce(trainer)
            self._cooling, self._bad = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        change = sign * self.threshold
        limit = self.best * (1 + change) if self.threshold_mode == "rel" else self.best + change
        return sign * value > sign * limit

    def _reduce(self, trainer: Trainer) -> None:
        optimizer = trainer.optimizer
        rate = last_rate(trainer)
        reduced = max(rate * self.factor, self.min_lr)
        if rate - reduced > self.eps:
            optimizer.scale *= reduced / rate

    def state(self) -> dict[str, Any]:
        """The best value and the two counts; the rate's `scale` is the optimizer's."""
        best = np.array(self.best)  # an array, as it is infinite at first
        return {"best": best, "bad": self._bad, "cooling": self._cooling}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self.best, self._bad, self._cooling = float(state["best"]), state["bad"], state["cooling"]
