"""What a callback is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bpcore import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.trainer import Trainer

__all__ = ["Callback", "Monitoring"]


class Callback:
    """Override what you need. Each method is given the trainer and the values known at that point.

    `trainer.epochs` and `trainer.steps` count what is done. Setting ``trainer.stop_training = True`` ends the
    run after the step, or the epoch, at hand. `trainer.history.names` are the names of the values that each
    epoch of the run will have.

    With `every_steps` set to N, `on_step` is called after every Nth step of the trainer, and the steps
    between run natively without a stop. A callback with an `on_step` must set it.
    """

    every_steps: int | None = None
    steps_are_optional = False  # whether every_steps may be None all the same
    runs_last = False  # whether it is told after all others, so that it sees what they did
    watch_every: int | None = None  # GradientHealth's

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Before the first epoch of a run. `logs` is empty."""

    def on_epoch_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Before each epoch. `logs` is empty."""

    def on_step(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """After every Nth step. `logs` holds loss and metrics of that step's batch."""

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """After each epoch. `logs` holds its loss and metrics, with "val_" those of validation."""

    def on_run_over(self, trainer: Trainer, error: BaseException | None) -> None:
        """When the last step is done, before `on_train_end`, whatever ended the run: `error`, if it was one.

        The parameters are those of the last step, and no callback has put anything back yet.
        """

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """At the end of a run, whatever ended it. `logs` holds the last epoch's values, if there was one.

        Every callback is told so, also after Ctrl-C, a loss that is not finite, and another callback's
        exception, which `fit` raises afterwards.
        """

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """What a later process needs to go on as if the run had never stopped: JSON values and arrays."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave, when a run goes on: after `on_train_begin`, before any epoch."""


class Monitoring(Callback):
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
