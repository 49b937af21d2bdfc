"""The loop of `Trainer.fit`: hands over many steps at a time, and stops where a callback wants to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from bpcore import interrupts
from bpcore.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore._core import Session
    from bpcore.arrays import Array
    from bpcore.callbacks import Callback
    from bpcore.fullbatch import FullBatchSession
    from bpcore.progress import Progress
    from bpcore.trainer import Trainer

__all__ = ["Pace", "Run"]

_SECONDS_PER_CALL = 0.05  # how long Ctrl-C may wait


class Pace:
    """How many steps make a native call of about 50 ms, by the time they took so far."""

    def __init__(self) -> None:
        self._steps = 1

    def steps(self) -> int:
        """Steps for the next call."""
        return self._steps

    def run(self, session: Session | FullBatchSession, steps: int, rates: Array) -> int:
        """Runs `steps` steps, or fewer as `Session.run` does; the next call may be up to 8 times as long."""
        start = time.perf_counter()
        done = session.run(steps, rates)
        interrupts.check()
        seconds = max(time.perf_counter() - start, 1e-9)
        self._steps = max(1, min(int(_SECONDS_PER_CALL * steps / seconds), 8 * max(steps, self._steps)))
        return done


class Run:
    """One call of `Trainer.fit`: a training session, and who is told about it."""

    def __init__(
        self,
        trainer: Trainer,
        session: Session | FullBatchSession,
        samples: int,
        batch_size: int,
        callbacks: Sequence[Callback],
        bar: Progress,
    ) -> None:
        self._trainer = trainer
        self._session = session
        self._samples = samples
        self._batch_size = batch_size
        self._callbacks = callbacks
        self._bar = bar
        self._pace = Pace()
        self._values: dict[str, float] = {}  # of the last epoch

    def epochs(self, epochs: int, shuffle: bool, validate: Callable[[], dict[str, float]] | None) -> History:
        """Runs so many epochs, fewer if a callback says so; `validate` gives the values of held-out data."""
        trainer = self._trainer
        names = trainer._task.names
        held_out = [] if validate is None else [f"val_{name}" for name in names]
        trainer.history = History(trainer.epochs, [*names, *held_out])
        trainer.stop_training = False
        error: BaseException | None = None
        with interrupts.deferred():
            try:
                self._tell("on_train_begin", {})
                for callback in self._callbacks:
                    callback._before_steps(trainer, self._session, shuffle)
                if trainer.stop_training:
                    epochs = 0
                for number in range(1, epochs + 1):
                    if not self._epoch(number, shuffle, validate) or trainer.stop_training:
                        break
                    interrupts.check()
            except BaseException as raised:  # noqa: BLE001 - raised again at the end
                error = raised
            try:
                self._end(error)
            finally:
                self._bar.close()
        return trainer.history

    def _end(self, error: BaseException | None) -> None:
        """Tells every callback that the run is over, then raises what ended it, or the first they raise."""
        for callback in self._callbacks:
            try:
                callback.on_train_end(self._trainer, self._values)
            except BaseException as raised:  # noqa: BLE001, PERF203 - the others must be told, too
                error = raised if error is None else error
        if error is not None:
            raise error

    def _tell(self, event: str, logs: dict[str, float]) -> None:
        for callback in self._callbacks:
            getattr(callback, event)(self._trainer, logs)

    def _epoch(self, number: int, shuffle: bool, validate: Callable[[], dict[str, float]] | None) -> bool:
        """Whether the epoch came to its end."""
        trainer, session = self._trainer, self._session
        start = time.perf_counter()
        self._tell("on_epoch_begin", {})
        session.begin_epoch(trainer.epochs, shuffle)
        self._steps()
        if session.position < session.steps_per_epoch:
            return False
        values = trainer._task.values(session.totals)
        if validate is not None:
            values.update({f"val_{name}": value for name, value in validate().items()})
        trainer.history.append(time.perf_counter() - start, values)
        self._values = values
        self._bar.epoch_done(number, values)
        self._tell("on_epoch_end", values)
        return True

    def _running(self) -> dict[str, float]:
        """The values of the epoch so far."""
        return self._trainer._task.values(self._session.totals)

    def _steps(self) -> None:
        """An epoch's steps. FloatingPointError at a loss that is not finite, before that step's update."""
        trainer, session = self._trainer, self._session
        intervals = [(each, each.every_steps) for each in self._callbacks if each.every_steps is not None]
        while session.position < session.steps_per_epoch and not trainer.stop_training:
            before, step, skipped = session.position, trainer.steps, session.skipped
            steps = min(self._pace.steps(), session.steps_per_epoch - before)
            for _, every in intervals:
                steps = min(steps, every - step % every)
            done = self._pace.run(session, steps, trainer.optimizer.group_rates(step, steps))
            trainer.skipped += session.skipped - skipped
            if trainer.health is not None:
                trainer.health.add(cast("Session", session))  # LBFGS's steps can't be watched
                if done < steps:
                    trainer.health.stop(step + done)
            if done < steps:
                refused = trainer._engine.refusal(session)
                raise FloatingPointError(
                    f"fit: {refused} at step {step + done} (step {before + done} of epoch "
                    f"{trainer.epochs + 1}); the parameters are those before it. A smaller learning rate may "
                    "help"
                )
            self._bar.advance(
                min(self._samples, session.position * self._batch_size) - before * self._batch_size,
                self._running,
            )
            due = [callback for callback, every in intervals if trainer.steps % every == 0]
            logs = trainer._task.values(session.last) if due else {}
            for callback in due:
                callback.on_step(trainer, logs)
            interrupts.check()
