"""Which learning rate suits a model."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bpcore.basics import interrupts, settings, texts
from bpcore.callbacks.base import Callback

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from bpcore._core import Session
    from bpcore.basics.arrays import Array
    from bpcore.engine.fullbatch import FullBatchSession
    from bpcore.engine.outputs import Outputs
    from bpcore.engine.streaming import StreamSession
    from bpcore.trainer import Trainer

__all__ = ["LearningRateFinder"]

_KEPT = 0.9  # weight of what was before in the moving average that ends a test
_SETTLED = 0.1  # of the steps, the first, whose slope is only noise
_FEWEST = 4  # steps that a slope can be told from


class LearningRateFinder(Callback):
    """Tries learning rates from tiny to too large, a step each, when a run begins, and takes it all back.

    Afterwards parameters, states, the optimizer's state and `trainer.steps` have the bits they had before.
    `suggestion` is the rate at which the smoothed loss falls fastest, by the logarithm of the rate: a good
    first guess, well below the rate at which training breaks down. Look at `plot` before you trust it.

    Batches of a stream that can't begin anew are used up, though, one for each rate; it must have enough.

    The test ends early once a moving average of the loss exceeds `early_stop_threshold` times its least, or a
    loss is not finite. The run then ends, with no epoch, unless `apply`; see `Trainer.find_learning_rate` for
    a test alone. Sources: L. N. Smith, Cyclical learning rates for training neural networks (2017), the range
    test; S. Gugger, How do you find a good learning rate (2018), its end.

    Args:
        min_lr: the first rate, > 0.
        max_lr: the last one, > min_lr. Groups with rates of their own keep their ratio to the optimizer's.
        num_training_steps: how many rates, at least 10.
        mode: "exponential": each is the one before by the same factor; "linear": by the same difference.
        early_stop_threshold: > 1; None never ends early but for a loss that is not finite. (For a negative
            loss, it is the distance from the best in parts of the best.)
        smoothing: standard deviation, in steps, of the Gaussian window that `smoothed` averages by, ≥ 0; it
            lies around each step, so that the curve does not lag behind.
        apply: train at the suggestion: it becomes the optimizer's `lr`, or, where that is a schedule, a
            function, or not the only one, `scale` is set so that the next step has it. If nothing is found,
            there is a warning, and the rate stays.

    Attributes, of the last test: `rates`, `losses` (of the batch that each rate's update was made from) and
    `smoothed`, float64, (steps,); `suggestion`, None if the loss never fell; `diverged`, whether the test
    ended early.

    Raises ValueError for settings out of range, LBFGS, and `apply` where the rate of the next step is 0.
    """

    def __init__(
        self,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        *,
        num_training_steps: int = 100,
        mode: Literal["exponential", "linear"] = "exponential",
        early_stop_threshold: float | None = 4.0,
        smoothing: float = 3.0,
        apply: bool = False,
    ) -> None:
        who = "LearningRateFinder"
        self.min_lr = settings.number(who, "min_lr", min_lr, above=0)
        self.max_lr = settings.number(who, "max_lr", max_lr, above=self.min_lr)
        self.num_training_steps = settings.count(who, "num_training_steps", num_training_steps, 10)
        self.mode = settings.choice(who, "mode", mode, ("exponential", "linear"))
        self.early_stop_threshold = (
            None
            if early_stop_threshold is None
            else settings.number(who, "early_stop_threshold", early_stop_threshold, above=1)
        )
        self.smoothing = settings.number(who, "smoothing", smoothing, least=0)
        self.apply = settings.flag(who, "apply", apply)
        self._forget()

    def _forget(self) -> None:
        self.rates: Array = np.empty(0)
        self.losses: Array = np.empty(0)
        self.diverged = False

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Starts anew."""
        self._before_run(trainer, ())
        if self.apply and trainer.optimizer.rates(trainer.steps, 1)[0] == 0:
            raise ValueError(
                "LearningRateFinder: apply=True multiplies the optimizer's rates, of which the next is 0; "
                "let the schedule begin above 0, or set the rate by hand"
            )
        self._forget()

    def _before_run(self, trainer: Trainer, names: Sequence[str]) -> None:  # noqa: ARG002 - the protocol
        if trainer.optimizer.name == "lbfgs":
            raise ValueError(
                "LearningRateFinder: LBFGS searches for the length of each step itself; its lr can stay 1"
            )

    def _before_steps(
        self,
        trainer: Trainer,
        session: Session | FullBatchSession | StreamSession,
        outputs: Outputs,
        shuffle: bool,
    ) -> None:
        kept = trainer.snapshot(), trainer.steps
        state = {name: array.copy() for name, array in trainer.optimizer_state.items()}
        try:
            self._test(trainer, session, outputs, shuffle)
        finally:
            trainer.restore(kept[0])
            for name, array in trainer.optimizer_state.items():
                array[...] = state[name]
            trainer._engine.updates.steps = kept[1]
        if self.apply:
            self._apply(trainer)
        else:
            trainer.stop("learning_rate_finder")

    def _test(
        self,
        trainer: Trainer,
        session: Session | FullBatchSession | StreamSession,
        outputs: Outputs,
        shuffle: bool,
    ) -> None:
        spaced = np.geomspace if self.mode == "exponential" else np.linspace
        rates = spaced(self.min_lr, self.max_lr, self.num_training_steps)
        now = trainer.optimizer.group_rates(trainer.steps, 1)[0]
        ratios = now / now[0] if now[0] > 0 else np.ones_like(now)
        losses: list[float] = []
        epoch, best, average = trainer.epochs, math.inf, _Average()
        session.begin_epoch(epoch, shuffle)
        for rate in rates:
            if session.finished:
                epoch += 1
                session.begin_epoch(epoch, shuffle)
            done = session.run(1, np.array([rate * ratios]))
            interrupts.check()
            loss = outputs.sums(session, of_last_step=True)["loss"] if done else math.nan
            if not math.isfinite(loss):
                self.diverged = True
                break
            losses.append(loss)
            mean = average.after(loss)
            best = min(best, mean)
            limit = self.early_stop_threshold
            if limit is not None and mean > best + (limit - 1) * abs(best):
                self.diverged = True
                break
        self.rates, self.losses = rates[: len(losses)], np.array(losses)

    @property
    def smoothed(self) -> Array:
        """`losses`, averaged by a window around each step, (steps,)."""
        reach = min(math.ceil(3 * self.smoothing), max(len(self.losses) - 1, 0))
        if reach == 0:
            return np.array(self.losses)
        window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / self.smoothing) ** 2)
        weights = np.convolve(np.ones(len(self.losses)), window)  # less at the ends
        sums = np.convolve(self.losses, window)
        averages: Array = (sums / weights)[reach:-reach]
        return averages

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls fastest; None if it never falls, or too few were tried.

        Slopes are differences over the logarithm of the rate, between the first tenth of the steps and the
        least smoothed loss.
        """
        start = min(int(_SETTLED * self.num_training_steps), max(len(self.rates) - _FEWEST, 0))
        smooth = self.smoothed[start:]
        smooth = smooth[: int(np.argmin(smooth)) + 1] if smooth.size else smooth
        if smooth.size < _FEWEST:
            return None
        rates = self.rates[start : start + smooth.size]
        slopes = np.gradient(smooth, np.log(rates))
        return float(rates[np.argmin(slopes)]) if slopes.min() < 0 else None

    def __repr__(self) -> str:
        found = [] if self.suggestion is None else [f"suggestion={self.suggestion:.3g}"]
        return texts.call(self, [*texts.settings_of(self), *found])

    def _apply(self, trainer: Trainer) -> None:
        found, optimizer = self.suggestion, trainer.optimizer
        if found is None:
            warnings.warn(
                "LearningRateFinder: the loss fell at none of the rates, so the rate stays as it is",
                stacklevel=2,
            )
        elif callable(optimizer.lr) or any(group.lr is not None for group in optimizer.groups):
            optimizer.scale *= found / float(optimizer.rates(trainer.steps, 1)[0])
        else:
            optimizer.lr = found

    def state(self) -> dict[str, Any]:
        """What was found: a run that goes on from a checkpoint does not test again."""
        return {"rates": self.rates.tolist(), "losses": self.losses.tolist(), "diverged": self.diverged}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.rates, self.losses = np.asarray(state["rates"]), np.asarray(state["losses"])
        self.diverged = bool(state["diverged"])

    def plot(self, *, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws loss against rate; see `bpcore.plotting.plot_learning_rates`. Needs matplotlib."""
        from bpcore.plotting import plot_learning_rates

        return plot_learning_rates(self, path=path)


class _Average:
    """A moving average, corrected for its start."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def after(self, loss: float) -> float:
        """The average once `loss` is a part of it."""
        self._sum = _KEPT * self._sum + (1 - _KEPT) * loss
        self._weight = _KEPT * self._weight + (1 - _KEPT)
        return self._sum / self._weight
