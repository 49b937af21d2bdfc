"""Callbacks: what may happen between the steps of `Trainer.fit`."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Literal

from bpcore import settings
from bpcore.health import HealthWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.arrays import Array
    from bpcore.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "GradientHealth", "ReduceLROnPlateau"]


class Callback:
    """Override what you need. Each method is given the trainer and the values known at that point.

    `trainer.epochs` and `trainer.steps` count what is done. Setting ``trainer.stop_training = True`` ends the
    run after the step, or the epoch, at hand. `trainer.history.names` are the names of the values that each
    epoch of the run will have.

    With `every_steps` set to N, `on_step` is called after every Nth step of the trainer, and the steps
    between run natively without a stop. A callback with an `on_step` must set it.
    """

    every_steps: int | None = None
    watch_every: int | None = None  # GradientHealth's

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


class _Monitoring(Callback):
    """Looks at one value after each epoch, of which less is better, or more."""

    def __init__(self, monitor: str, mode: Literal["auto", "min", "max"]) -> None:
        who = type(self).__name__
        settings.choice(who, "mode", mode, ("auto", "min", "max"))
        if not isinstance(monitor, str):
            raise TypeError(f"{who}: monitor must be the name of a value, got {monitor!r}")
        self.monitor = monitor
        self.mode = mode if mode != "auto" else ("max" if "accuracy" in monitor else "min")

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Starts anew; ValueError if there will be nothing to look at."""
        self._forget()
        names = trainer.history.names
        if self.monitor not in names:
            needed = self.monitor.startswith("val_") and "val_loss" not in names
            hint = " (val_ needs validation data)" if needed else ""
            raise ValueError(
                f"{type(self).__name__}: there is no {self.monitor!r} to look at; this run has "
                f"{', '.join(names)}{hint}"
            )

    def _forget(self) -> None:
        """Makes everything as before the first epoch."""
        raise NotImplementedError


class EarlyStopping(_Monitoring):
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
        super().__init__(monitor, mode)
        self.patience = settings.count("EarlyStopping", "patience", patience, 1)
        self.min_delta = settings.number("EarlyStopping", "min_delta", min_delta, least=0)
        self.restore_best = restore_best
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._waited = 0
        self._kept: tuple[Array, Array] | None = None

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


class ReduceLROnPlateau(_Monitoring):
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
        mode: "min", "max", or "auto": "max" for names that contain "accuracy", else "min".
        eps: a rate that would change by no more than this stays as it is, ≥ 0.

    Begins anew with each `fit`; the optimizer's `scale` stays, and is saved with the trainer. A value that
    isn't there, as "val_loss" without validation data, is a ValueError before the first epoch.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
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

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Counts the epoch if it is not better, and reduces the rate if it is one too many."""
        value = logs[self.monitor]
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
        rate = float(optimizer.rates(trainer.steps - 1, 1)[0])
        reduced = max(rate * self.factor, self.min_lr)
        if rate - reduced > self.eps:
            optimizer.scale *= reduced / rate


class GradientHealth(Callback):
    """Watches gradients, updates and idle units, natively, in every Nth step of a run.

    What it measures is in `trainer.health` (see `bpcore.Health`), of which ``report()`` says in words what is
    wrong and what usually helps, and ``plot()`` draws the flow of gradients by layer. Training has the same
    bits with it and without. At the end of a run, also of one that failed, a `HealthWarning` names what was
    found.

    Args:
        every: steps between two that are measured, the first being step 0; at least 1.
        warn: False keeps findings to `trainer.health`.
    """

    def __init__(self, every: int = 50, warn: bool = True) -> None:
        self.watch_every = settings.count("GradientHealth", "every", every, 1)
        self.warn = settings.flag("GradientHealth", "warn", warn)

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Warns of what was found."""
        health = trainer.health
        if self.warn and health is not None and health.findings():
            warnings.warn(health.report(), HealthWarning, stacklevel=2)
