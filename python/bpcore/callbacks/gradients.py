"""Watching gradients."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from bpcore.basics import settings
from bpcore.callbacks.base import Callback
from bpcore.watching.health import HealthWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.trainer import Trainer

__all__ = ["GradientHealth"]


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
        self.every = self.watch_every = settings.count("GradientHealth", "every", every, 1)
        self.warn = settings.flag("GradientHealth", "warn", warn)

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Warns of what was found."""
        health = trainer.health
        if self.warn and health is not None and health.findings():
            warnings.warn(health.report(), HealthWarning, stacklevel=2)
