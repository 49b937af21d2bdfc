"""What a callback is."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bpcore import metrics
from bpcore.basics import settings, texts
from bpcore.basics.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bpcore._core import Session
    from bpcore.engine.fullbatch import FullBatchSession
    from bpcore.engine.outputs import Outputs
    from bpcore.engine.streaming import StreamSession
    from bpcore.trainer import Trainer

__all__ = ["EVENTS", "Callback", "Monitoring", "check_event", "check_events", "last_rate", "overrides"]


class Callback:
    """Override what you need. Each method is given the trainer and the values known at that point.

    `trainer.epochs` and `trainer.steps` count what is done. ``trainer.stop("why")`` ends the run after the
    step, or the epoch, at hand, and `history.stopped` then says why; ``trainer.stop_training = True`` does so
    without a reason. `trainer.history.names` are the names of the values that each epoch of the run will
    have.

    With `every_steps` set to N, `on_step` is called after every Nth step of the trainer, and the steps
    between run natively without a stop. A callback with an `on_step` must set it; an object whose own
    `every_steps` is None has chosen to be called after no step.

    What one raises is raised by `fit` once all others have been told of the same event.

    `fit` refuses a callback with a method ``on_...`` that is none of these, as it would never be called, and
    one whose arguments are others.
    """

    every_steps: int | None = None
    runs_last = False  # whether it is told after all others, so that it sees what they did
    watch_every: int | None = None  # GradientHealth's

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Before the first epoch of a run. `logs` is empty."""

    def on_epoch_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Before each epoch. `logs` is empty."""

    def on_step(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """After every Nth step. `logs` holds loss and metrics of that step's batch."""

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """After each epoch. `logs` holds its loss and metrics, with "val_" those of validation."""

    def on_pause(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Between native calls, about every 50 ms: for clocks and displays. `logs` is empty.

        After which steps that is, differs from run to run; where it matters, use `on_step`.
        """

    def on_not_finite(self, trainer: Trainer, error: FloatingPointError) -> None:
        """When a step was refused because its loss or a gradient is not finite.

        `fit` raises `error` afterwards, unless a callback ends the run by `trainer.stop`.
        """

    def on_run_over(self, trainer: Trainer, error: BaseException | None) -> None:
        """When the last step is done, before `on_train_end`, whatever ended the run: `error`, if it was one.

        The parameters are those of the last step, and no callback has put anything back yet.
        """

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """At the end of a run, whatever ended it. `logs` holds the last epoch's values, if there was one.

        Every callback is told so, also after Ctrl-C, a loss that is not finite, and another callback's
        exception, which `fit` raises afterwards. `trainer.history.stopped` says what ended it.
        """

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """What a later process needs to go on as if the run had never stopped: JSON values and arrays."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave, when a run goes on: after `on_train_begin`, before any epoch.

        The state is that of the callback of this class and these settings, else of the first one of this
        class that looks at the same value (`monitor`). If it doesn't fit, raise any error of Python's for
        wrong values: `fit` makes a ValueError of it that names the file, and takes back what it has changed.
        """

    def __repr__(self) -> str:
        return texts.call(self, texts.settings_of(self))

    def _before_run(self, trainer: Trainer, names: Sequence[str]) -> None:
        """Before anything is changed: raises if a run whose epochs have values of these names can't be."""

    def _before_steps(
        self,
        trainer: Trainer,
        session: Session | FullBatchSession | StreamSession,
        outputs: Outputs,
        shuffle: bool,
    ) -> None:
        """Once every callback knows that a new run begins; LearningRateFinder's."""


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def last_rate(trainer: Trainer) -> float:
    """The learning rate of the last step, of parameters that belong to no group.

    Of the first step as long as there was none, as where all of them were skipped.
    """
    return float(trainer.optimizer.rates(max(trainer.steps - 1, 0), 1)[0])


def overrides(callback: Callback, event: str) -> bool:
    """Whether `callback` has a method of its own for the event."""
    return getattr(getattr(callback, event), "__func__", None) is not getattr(Callback, event)


def check_event(who: str, event: str, function: Any) -> None:
    """TypeError unless `function` can be called as an event is."""
    if not callable(function):
        raise TypeError(f"{who}: {event} must be a function, got {function!r}")
    expected = list(inspect.signature(getattr(Callback, event)).parameters)[1:]
    try:
        inspect.signature(function).bind(*expected)
    except ValueError:  # something native, which has no signature
        return
    except TypeError:
        found = inspect.signature(function)
        raise TypeError(
            f"{who}: {event} is called with ({', '.join(expected)}), but it takes {found}"
        ) from None


def check_events(callback: Callback) -> None:
    """TypeError for a method that would never be called, or not with its arguments."""
    who = f"fit: {type(callback).__name__}"
    for name in dir(callback):
        if not name.startswith("on_"):
            continue
        if name in EVENTS:
            if overrides(callback, name):
                check_event(who, name, getattr(callback, name))
        elif callable(getattr(callback, name)):
            near = " or ".join(nearest(name, EVENTS))
            hint = f"did you mean {near}? " if near else ""
            raise TypeError(
                f"{who}: {name} is no event and would never be called; {hint}known: {', '.join(EVENTS)}"
            )


class Monitoring(Callback):
    """Looks at one value after each epoch, of which less is better, or more."""

    _called: ClassVar[str] = ""  # in errors, if not by the class's name

    def __init__(self, monitor: str, mode: Literal["auto", "min", "max"]) -> None:
        who = self._who = type(self)._called or type(self).__name__
        settings.choice(who, "mode", mode, ("auto", "min", "max"))
        if not isinstance(monitor, str):
            raise TypeError(f"{who}: monitor must be the name of a value, got {monitor!r}")
        self.monitor = monitor
        self._auto = mode == "auto"
        self.mode = mode if mode != "auto" else _mode(monitor, {})

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Starts anew; ValueError if there will be nothing to look at, or an array."""
        if self._auto:
            self.mode = _mode(self.monitor, trainer.metrics)
        self._forget()
        self._before_run(trainer, trainer.history.names)

    def _before_run(self, trainer: Trainer, names: Sequence[str]) -> None:
        if self.monitor not in names:
            needed = self.monitor.startswith("val_") and "val_loss" not in names
            hint = " (val_ needs validation data)" if needed else ""
            raise ValueError(
                f"{self._who}: there is no {self.monitor!r} to look at; this run has {', '.join(names)}{hint}"
            )
        if not getattr(trainer.metrics.get(self.monitor.removeprefix("val_")), "scalar", True):
            raise ValueError(f"{self._who}: {self.monitor!r} is an array, not one value to look at")

    def _value(self, logs: Mapping[str, Any]) -> float:
        """The value of an epoch; ValueError if it turns out to be an array."""
        value = logs[self.monitor]
        if np.ndim(value):
            raise ValueError(
                f"{self._who}: {self.monitor!r} is an array of shape {np.shape(value)}, not "
                "one value to look at"
            )
        return float(value)

    def _forget(self) -> None:
        """Makes everything as before the first epoch."""
        raise NotImplementedError


def _mode(monitor: str, known: Mapping[str, Any]) -> Literal["min", "max"]:
    """What "auto" means, by a trainer's metrics or by names."""
    return "max" if metrics.greater_is_better(monitor, known) else "min"
