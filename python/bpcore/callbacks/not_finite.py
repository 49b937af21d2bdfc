"""Ending a run in an orderly way when its numbers are no longer finite."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from bpcore.callbacks.base import Callback

if TYPE_CHECKING:
    from bpcore.trainer import Trainer

__all__ = ["TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """Ends a run, in place of an exception, at a loss that is NaN or infinite.

    `fit` returns the history of the finished epochs, with a RuntimeWarning that names the step. Parameters
    are those before that step. Gradients are looked at, too, with ``Trainer(nonfinite="stop")``; without it,
    one that is not finite spoils the parameters, and the loss of the step after it ends the run. With
    ``nonfinite="skip"`` such steps are left out, and there is nothing to end.
    """

    def on_not_finite(self, trainer: Trainer, error: FloatingPointError) -> None:
        """Ends the run."""
        message = str(error)
        warnings.warn(f"TerminateOnNaN: {message.removeprefix('fit: ')}", RuntimeWarning, stacklevel=2)
        what, _, _ = message.removeprefix("fit: ").partition(" (")
        trainer.stop(f"not_finite: {what}")
