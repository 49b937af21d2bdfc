"""Stopping by the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bpcore.basics import settings
from bpcore.callbacks.base import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.trainer import Trainer

__all__ = ["TimeLimit"]


class TimeLimit(Callback):
    """Ends a run after so much wall-clock time, also in the middle of an epoch.

    The clock is looked at between native calls, so about 50 ms, or one step if that takes longer, may be
    added, and one validation. The steps of an epoch that is cut stay done, but it is not in the history. Each
    `fit` has the whole time; a run that goes on from a checkpoint, what was left of it there.

    Args:
        seconds, minutes, hours: the time, which is their sum; each at least 0, the sum above 0.
    """

    def __init__(self, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        units = (("seconds", seconds, 1), ("minutes", minutes, 60), ("hours", hours, 3600))
        self.seconds = sum(
            settings.number("TimeLimit", unit, given, least=0) * factor for unit, given, factor in units
        )
        if self.seconds <= 0:
            raise ValueError("TimeLimit: give seconds, minutes or hours above 0")
        self._start = time.monotonic()

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Looks at the clock."""
        if self._used() >= self.seconds:
            trainer.stop("time")

    on_pause = on_epoch_begin
    on_epoch_end = on_epoch_begin

    def _used(self) -> float:
        return time.monotonic() - self._start

    def state(self) -> dict[str, Any]:
        """The seconds that are over."""
        return {"seconds": self._used()}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Takes them off the time that is left."""
        self._start = time.monotonic() - state["seconds"]
