"""The loop of `Trainer.fit`: hands over many steps at a time, and stops where a callback wants to."""

from __future__ import annotations

import time
from contextlib import nullcontext
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bpcore.basics import interrupts
from bpcore.callbacks.base import overrides
from bpcore.checkpoint.run import RunState, state_of
from bpcore.engine.fullbatch import FullBatchSession
from bpcore.engine.pace import Pace
from bpcore.engine.streaming import StreamSession
from bpcore.watching.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bpcore._core import Session
    from bpcore.callbacks import Callback
    from bpcore.checkpoint import Resumed
    from bpcore.engine.outputs import Outputs
    from bpcore.trainer import Trainer
    from bpcore.watching.progress import Progress

__all__ = ["Data", "Run"]


class Data(NamedTuple):
    """What a run goes through in each epoch: what a place in it depends on, and weights by class as text."""

    samples: int | None  # None: it isn't known
    batch_size: int
    accumulate: int
    shuffle: bool
    class_weight: str | None

    def samples_of(self, steps: int) -> int:
        """How many samples the first steps of an epoch have, where that is known."""
        assert self.samples is not None
        return min(self.samples, steps * self.batch_size * self.accumulate)


class Run:
    """One call of `Trainer.fit`: a training session, and who is told about it."""

    def __init__(
        self,
        trainer: Trainer,
        session: Session | FullBatchSession | StreamSession,
        outputs: Outputs,
        data: Data,
        validate: Callable[[], dict[str, Any]] | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self._trainer = trainer
        self._session = session
        self._outputs = outputs
        self._data = data
        self._validate = validate  # gives the values of held-out data
        self._callbacks = callbacks
        self._pausing = [each for each in callbacks if overrides(each, "on_pause")]
        self._pace = Pace()
        self._writing = trainer._engine.writing()
        self.thread = get_ident()
        self._values: dict[str, Any] = {}  # of the last epoch
        self._lr = trainer.optimizer.config()["lr"]
        self._began: float | None = None  # when the epoch at hand did; None between two
        self._awaited: RunState | None = None  # where it will go on, until it is there
        self.undo: Callable[[], None] | None = None  # takes back what has changed, until the run has begun
        names = trainer._task.names
        self.names = [*names, *([] if validate is None else [f"val_{name}" for name in names])]

    def epochs(self, last: int, bar: Progress, resumed: Resumed | None = None) -> History:
        """Runs up to epoch `last` of the trainer, fewer if a callback says so.

        With `resumed`, it goes on from there; the trainer has the values of that place already.
        """
        trainer, self._bar = self._trainer, bar
        self._before = trainer.epochs if resumed is None else 0
        self._awaited = None if resumed is None else resumed.state
        if resumed is None:
            trainer.history = History(trainer.epochs, self.names)
        trainer.history.stopped, trainer.stop_training, trainer._stop_reason = None, False, None
        error: BaseException | None = None
        with interrupts.deferred():
            try:
                for callback in self._callbacks:
                    callback.on_train_begin(trainer, {})
                if resumed is None:
                    self.undo = None
                    self._before_steps()
                going = resumed is None or self._resume(resumed)
                while going and trainer.epochs < last and not trainer.stop_training:
                    going = self._epoch()
                    interrupts.check()
            except BaseException as raised:  # noqa: BLE001 - raised again at the end
                error = raised
            trainer.history.stopped = self._reason(error)
            try:
                self._end(error)
            finally:
                self._bar.close()
        return trainer.history

    def _before_steps(self) -> None:
        trainer = self._trainer
        with self._writing:  # parameters are tried, and put back
            for callback in self._callbacks:
                callback._before_steps(trainer, self._session, self._outputs, self._data.shuffle)

    def state(self) -> RunState:
        """Where it stands now; where it should go on, if it did not come to that."""
        if self._awaited is not None:
            return self._awaited
        session, trainer = self._session, self._trainer
        state = RunState(
            settings=self._data._asdict(),
            names=self.names,
            stopped=self._reason(None) if trainer.stop_training and trainer._stop_reason != "time" else None,
            lr=self._lr,
            callbacks=[state_of(each) for each in self._callbacks],
        )
        if self._began is not None:
            state.position, state.skipped = session.position, session.skipped
            state.totals = session.totals.tolist()
            state.collected = {number: session.collected(number) for number in self._outputs.collected}
            state.seconds = time.perf_counter() - self._began
        return state

    def check(self, who: str, state: RunState) -> None:
        """ValueError, beginning with `who`, unless the epoch in `state` has steps and sums as this run's."""
        session = self._session
        if state.position is None:
            return
        steps = session.steps_per_epoch
        sums = isinstance(session, FullBatchSession) or len(state.totals) == session.totals.size
        rows = sorted(state.collected) == self._outputs.collected
        if not (sums and rows and (steps is None or state.position <= steps)):
            raise ValueError(
                f"{who} is in the middle of an epoch of other steps or other sums of metrics than this run; "
                "use the same data and metrics, or another path"
            )

    def _resume(self, resumed: Resumed) -> bool:
        """Callbacks remember what they did, and an epoch that was begun is ended. Whether more may follow."""
        state = resumed.state
        if state.lr is not None:
            self._lr = state.lr
        if state.position is not None:
            self._tell("on_epoch_begin", {})
        state.restore_callbacks(resumed.name, self._callbacks)
        if state.stopped is not None:
            self.undo = None
            self._trainer.stop(state.stopped)
            return False
        if state.position is None:
            self._awaited = self.undo = None
            return True
        session = self._session
        session.begin_epoch(self._trainer.epochs, self._data.shuffle)
        session.seek(state.position, state.totals, state.skipped, state.collected)
        self._bar.skip(self._done())
        self._began = time.perf_counter() - state.seconds
        self._awaited = self.undo = None
        self._pause()  # no step more, if its time is up
        return self._rest_of_epoch()

    def _reason(self, error: BaseException | None) -> str:
        """What ended the run, for `History.stopped`."""
        if error is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            return "interrupted" if interrupted else f"{type(error).__name__}: {error}"
        if self._trainer.stop_training:
            return self._trainer._stop_reason or "stop_training"
        return "epochs"

    def _end(self, error: BaseException | None) -> None:
        """Tells every callback that the run is over, then raises what ended it, or the first they raise."""
        for event, news in (("on_run_over", error), ("on_train_end", self._values)):
            raised = self._told(self._callbacks, event, news)
            error = raised if error is None else error
        if error is not None:
            raise error

    def _told(self, callbacks: Iterable[Callback], event: str, news: Any) -> BaseException | None:
        """Tells all of them, whatever one raises: what is written then is of one moment. The first error."""
        error: BaseException | None = None
        for callback in callbacks:
            try:
                getattr(callback, event)(self._trainer, news)
            except BaseException as raised:  # noqa: BLE001, PERF203 - the caller raises it
                error = raised if error is None else error
        return error

    def _tell(self, event: str, logs: dict[str, Any], callbacks: Iterable[Callback] | None = None) -> None:
        error = self._told(self._callbacks if callbacks is None else callbacks, event, logs)
        if error is not None:
            raise error

    def _epoch(self) -> bool:
        """Whether the epoch came to its end."""
        start = time.perf_counter()
        self._tell("on_epoch_begin", {})
        self._session.begin_epoch(self._trainer.epochs, self._data.shuffle)
        self._began = start
        return self._rest_of_epoch()

    def _rest_of_epoch(self) -> bool:
        """The steps that are left of an epoch, and what follows it. Whether it came to its end."""
        trainer, session = self._trainer, self._session
        assert self._began is not None
        self._steps()
        if not session.finished:
            return False
        values = self._outputs.values(session)
        if self._validate is not None:
            values.update({f"val_{name}": value for name, value in self._validate().items()})
        with self._writing:
            trainer.history.append(time.perf_counter() - self._began, values)
        self._began = None
        self._values = values
        self._bar.epoch_done(trainer.epochs - self._before, values)
        self._tell("on_epoch_end", values)
        return True

    def _running(self) -> dict[str, Any]:
        """The values of the epoch so far."""
        return self._outputs.sums(self._session)

    def _done(self) -> int:
        """Samples of this epoch so far."""
        if isinstance(self._session, StreamSession):
            return self._session.samples
        return self._data.samples_of(self._session.position)

    def _steps(self) -> None:
        """An epoch's steps. FloatingPointError at a loss that is not finite, before that step's update.

        Unless a callback ends the run there.
        """
        trainer, session = self._trainer, self._session
        intervals = [(each, each.every_steps) for each in self._callbacks if each.every_steps is not None]
        while not session.finished and not trainer.stop_training:
            before, step, skipped = session.position, trainer.steps, session.skipped
            shown = self._done()
            steps = self._pace.steps()
            if session.steps_per_epoch is not None:
                steps = min(steps, session.steps_per_epoch - before)
            for _, every in intervals:
                steps = min(steps, every - step % every)
            rates = trainer.optimizer.group_rates(step, steps)
            # A stream's session takes a turn for each step: its batches may be long in coming.
            with nullcontext() if isinstance(session, StreamSession) else self._writing:
                done = self._pace.run(session, steps, rates)
                trainer.skipped += session.skipped - skipped
            if trainer.health is not None:
                trainer.health.add(cast("Session", session))  # LBFGS's steps can't be watched
            refused = done < steps and not session.finished  # which raises what stopped a stream of batches
            if refused and trainer.health is not None:
                trainer.health.stop(step + done)
            if refused:
                why = trainer._engine.refusal(session)
                hint = (
                    "A smaller learning rate may help"
                    if step + done > 0
                    else "Nothing was updated before it: look at the data, the loss and the initial values"
                )
                self._not_finite(
                    f"fit: {why} at step {step + done} (step {before + done} of epoch "
                    f"{trainer.epochs + 1}); the parameters are those before it. {hint}"
                )
                return
            self._bar.advance(self._done() - shown, self._running)
            forward = trainer.steps > step  # not if all were skipped
            due = [callback for callback, every in intervals if forward and trainer.steps % every == 0]
            logs = self._outputs.last(session, self._rows_of_last_step()) if due else {}
            self._tell("on_step", logs, due)
            self._pause()
            interrupts.check()

    def _pause(self) -> None:
        for callback in self._pausing:
            callback.on_pause(self._trainer, {})

    def _not_finite(self, message: str) -> None:
        """FloatingPointError, unless a callback ends the run."""
        error = FloatingPointError(message)
        for callback in self._callbacks:
            callback.on_not_finite(self._trainer, error)
        if not self._trainer.stop_training:
            raise error

    def _rows_of_last_step(self) -> int:
        """Samples of the step that was done last; an epoch's last one may have fewer."""
        if isinstance(self._session, StreamSession):
            return self._session.last_samples
        done = self._session.position
        return self._data.samples_of(done) - self._data.samples_of(done - 1)
