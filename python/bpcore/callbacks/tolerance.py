"""When the training loss has converged: `tol` of `Trainer.fit`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.callbacks.base import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.trainer import Trainer

__all__ = ["Tolerance"]


class Tolerance(Callback):
    """Ends a run as scikit-learn's MLPClassifier does without early stopping.

    An epoch counts as one without improvement if its training loss is above best - tol, where best is the
    least loss of the epochs before it; one that is not sets the count to 0. The run ends when the count
    exceeds `n_iter_no_change`. Source: `_update_no_improvement_count` of scikit-learn's multilayer
    perceptron. Other than with `EarlyStopping`, a decrease by less than `tol` moves `best`, too: a loss that
    creeps has converged.
    """

    def __init__(self, tol: float, n_iter_no_change: int = 10) -> None:
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self._forget()

    def _forget(self) -> None:
        self._best = math.inf
        self._count = 0

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Starts anew."""
        self._forget()

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Counts the epoch if it is no better."""
        loss = logs["loss"]
        self._count = self._count + 1 if loss > self._best - self.tol else 0
        self._best = min(self._best, loss)
        if self._count > self.n_iter_no_change:
            trainer.stop("tol")

    def state(self) -> dict[str, Any]:
        """The least loss and the count."""
        return {"best": np.array(self._best), "count": self._count}  # an array, as it is infinite at first

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        self._best, self._count = float(state["best"]), state["count"]
