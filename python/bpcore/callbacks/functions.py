"""Plain functions as callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics import settings
from bpcore.callbacks.base import Callback, check_event

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LambdaCallback"]


class LambdaCallback(Callback):
    """Calls a function at each event that one is given for: ``LambdaCallback(on_epoch_end=print)``.

    Args:
        on_train_begin, on_epoch_begin, on_step, on_pause, on_epoch_end, on_train_end: functions of
            (trainer, logs), called when the methods of these names of `Callback` are.
        on_not_finite, on_run_over: the same, of (trainer, error).
        every_steps: after how many steps `on_step` is called, at least 1; only, and always, given with it.

    TypeError for what is no function of two arguments.
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[..., Any] | None = None,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_step: Callable[..., Any] | None = None,
        on_pause: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_not_finite: Callable[..., Any] | None = None,
        on_run_over: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        every_steps: int | None = None,
    ) -> None:
        if (on_step is None) != (every_steps is None):
            raise ValueError("LambdaCallback: on_step and every_steps must be given together")
        if every_steps is not None:
            self.every_steps = settings.count("LambdaCallback", "every_steps", every_steps, 1)
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_step": on_step,
            "on_pause": on_pause,
            "on_epoch_end": on_epoch_end,
            "on_not_finite": on_not_finite,
            "on_run_over": on_run_over,
            "on_train_end": on_train_end,
        }
        for event, function in given.items():
            if function is not None:
                check_event("LambdaCallback", event, function)
                setattr(self, event, function)
