"""When an estimator's training ends, and what it says on the way: scikit-learn's rules."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from bpcore.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bpcore.basics.arrays import Array
    from bpcore.sklearn.base import BaseBackprop
    from bpcore.trainer import Trainer

__all__ = ["Progress", "go_on", "start"]

_SMALLEST_RATE = 1e-6  # below which "adaptive" gives up
_REDUCTION = 5.0
_SMALLEST_SCALE = 1e-12  # of the rate: nothing moves any more
_KEPT = ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")


class Progress(Callback):
    """Notes each epoch in the estimator's attributes, and stops where neither loss nor score gets better.

    Args:
        estimator: whose attributes are kept up.
        samples: trained on in an epoch.
        score: the validation score as it is now, with early stopping; else None.

    `ran_out` says afterwards whether there were too few epochs for the rule to stop.
    """

    def __init__(
        self, estimator: BaseBackprop, samples: int, score: Callable[[Trainer], float] | None
    ) -> None:
        self._estimator = estimator
        self._samples = samples
        self._score = score
        self.ran_out = False
        self._best: tuple[Array, Array] | None = None

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Keeps what early stopping may have to bring back."""
        self._estimator.n_iter_ = 0
        if self._score is not None:
            self._best = trainer.snapshot()

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:
        """Notes the epoch, and decides whether it was the last one."""
        own = self._estimator
        own.n_iter_ += 1
        own.t_ += self._samples
        own.loss_ = logs["loss"]
        own.loss_curve_.append(own.loss_)
        self._say(f"Iteration {own.n_iter_}, loss = {own.loss_:.8f}")
        self._count(trainer)
        by_rule = own.solver == "sgd"
        if by_rule and own.learning_rate == "invscaling":
            _set_scale(trainer, (own.t_ + 1) ** -own.power_t)
        if own._no_improvement > own.n_iter_no_change:
            what = "Training loss" if self._score is None else "Validation score"
            limits = f"tol={own.tol:f} for {own.n_iter_no_change} consecutive epochs"
            message = f"{what} did not improve more than {limits}."
            self._end_or_slow_down(trainer, message, by_rule and own.learning_rate == "adaptive")
        self.ran_out = not trainer.stop_training and own.n_iter_ >= own.max_iter

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Brings the best epoch back, with early stopping."""
        if self._best is not None:
            trainer.restore(self._best)
            self._best = None

    def _count(self, trainer: Trainer) -> None:
        """Counts the epochs that were not better than the best by `tol`."""
        own = self._estimator
        if self._score is None:
            worse = own.loss_ > own.best_loss_ - own.tol
            own.best_loss_ = min(own.best_loss_, own.loss_)
        else:
            score = self._score(trainer)
            own.validation_scores_.append(score)
            self._say(f"Validation score: {score:f}")
            worse = score < own.best_validation_score_ + own.tol
            if score > own.best_validation_score_:
                own.best_validation_score_ = score
                self._best = trainer.snapshot()
        own._no_improvement = own._no_improvement + 1 if worse else 0

    def _end_or_slow_down(self, trainer: Trainer, message: str, adaptive: bool) -> None:
        own, optimizer = self._estimator, trainer.optimizer
        rate = own.learning_rate_init * optimizer.scale
        if adaptive and rate > _SMALLEST_RATE:
            _set_scale(trainer, optimizer.scale / _REDUCTION)
            own._no_improvement = 0
            self._say(f"{message} Setting learning rate to {rate / _REDUCTION:f}")
            return
        trainer.stop_training = True
        self._say(f"{message} {'Learning rate too small. ' if adaptive else ''}Stopping.")

    def _say(self, line: str) -> None:
        if self._estimator.verbose:
            sys.stdout.write(f"{line}\n")


def _set_scale(trainer: Trainer, scale: float) -> None:
    """Changes the learning rate of SGD as scikit-learn does, whose velocities have the rate in them already.

    So what is left of earlier steps must not change: it is the momentum's buffer times the rate.
    """
    scale = max(scale, _SMALLEST_SCALE)
    for buffer in trainer.optimizer_state.values():
        buffer *= trainer.optimizer.scale / scale
    trainer.optimizer.scale = scale


def start(estimator: BaseBackprop) -> None:
    """Gives the estimator what `Progress` keeps, as before the first epoch; "lbfgs" has none of it."""
    estimator._no_improvement = 0
    if estimator.solver == "lbfgs":
        for name in _KEPT:
            estimator.__dict__.pop(name, None)
        return
    early = estimator.early_stopping
    estimator.loss_curve_ = []
    estimator.best_loss_ = None if early else math.inf
    estimator.validation_scores_ = [] if early else None
    estimator.best_validation_score_ = -math.inf if early else None


def go_on(estimator: BaseBackprop) -> None:
    """The same for one that has been fitted, if it was by "lbfgs" or with another rule of stopping."""
    if estimator.solver == "lbfgs" or not hasattr(estimator, "loss_curve_"):
        start(estimator)
    elif (estimator.best_loss_ is None) != estimator.early_stopping:
        curve = estimator.loss_curve_
        start(estimator)
        estimator.loss_curve_ = curve
