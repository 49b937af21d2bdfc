"""Files that a run can be continued from."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

from bpcore.basics import files, settings
from bpcore.callbacks.base import Callback, Monitoring

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from bpcore.trainer import Trainer

__all__ = ["Checkpoint"]


class Checkpoint(Callback):
    """Writes the trainer, and where its run stands, to a file, from which the run can go on to the bit.

    The same script, run again with ``fit(..., resume=path)``, goes on where the file was written, also in the
    middle of an epoch, and ends with the bits of a run that never stopped: parameters, optimizer and layers'
    states, the place in the shuffled data and in schedules, random numbers, history, and what callbacks
    remember (see `Callback.state`). `Trainer.load` reads the file, too, and `Module.load_weights` the weights
    alone.

    A script that was changed goes on with its own learning rate (also those of groups), number of epochs,
    callbacks, threads, `nonfinite` and `ema`, and, where the file is of the end of an epoch, its own data,
    batch_size, accumulate and shuffle. Another loss, objective, seed, dtype, regularizer, class_weight,
    clipping, and another optimizer or other settings of it, are a ValueError that names both before anything
    is changed: `Trainer.load` begins another run from the file with them. Functions are compared by name at
    best, the data by its number of samples.

    `path` is always the newest file, ``path.1`` the one before, and so on. Each is written beside it, synced
    to the disk and renamed, so that a run that is killed, or a disk that is full, leaves the last whole one.
    A file that can't be written is a RuntimeWarning, and training goes on; if it is the last one of a run,
    `fit` raises the OSError at its end.

    It is also written when a run ends, and when Ctrl-C or an exception ends it, but for a loss that is not
    finite: then the file is the last one written before. Callbacks are asked for their states before they are
    told that training ends; EarlyStopping, say, has not put the best parameters back in it, but will at the
    end of the resumed run.

    Args:
        path: the file, as "run.safetensors", in a folder that exists.
        every_steps: write after every Nth step of the trainer, or
        every_epochs: after every Nth epoch; 1 if neither is given.
        keep: files that are kept, the newest included, at least 1.
        monitor: name of a value, such as "val_loss": write only after epochs in which it is the best so far
            (and never at the end); of every Nth epoch, with every_epochs. It doesn't go with every_steps.
        mode: as of `EarlyStopping`.

    Raises ValueError and TypeError for other arguments; OSError when `fit` begins, if nothing can be written
    to the path's folder.
    """

    runs_last = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        keep: int = 1,
        monitor: str | None = None,
        mode: Literal["auto", "min", "max"] = "auto",
    ) -> None:
        who = "Checkpoint"
        self.path = settings.path(who, "path", path)
        if every_steps is not None and (every_epochs is not None or monitor is not None):
            other = "monitor" if every_epochs is None else "every_epochs"
            raise ValueError(f"{who}: every_steps doesn't go with {other}")
        self.every_steps = None if every_steps is None else settings.count(who, "every_steps", every_steps, 1)
        if every_epochs is None and every_steps is None:
            every_epochs = 1
        self.every_epochs = (
            None if every_epochs is None else settings.count(who, "every_epochs", every_epochs, 1)
        )
        self.keep = settings.count(who, "keep", keep, 1)
        self.monitor = monitor
        self._best = None if monitor is None else _Best(monitor, mode)
        self._written: tuple[int, int, bool] | None = None  # steps, epochs, stop_training of the last file
        self._writing = False  # whether a run is under way that can write here
        self._spoiled = False  # whether the next step would not be finite
        self._failed: OSError | None = None  # why the last file could not be written

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """OSError if nothing can be written; removes what a killed run has left half written."""
        if self._best is not None:
            self._best.on_train_begin(trainer, logs)
        self._written = self._failed = None
        self._spoiled = False
        self._before_run(trainer, trainer.history.names)
        files.remove_stale(self.path)
        self._writing = True

    def _before_run(self, trainer: Trainer, names: Sequence[str]) -> None:
        if self._best is not None:
            self._best._before_run(trainer, names)
        try:
            files.check_writable(self.path)
        except OSError as error:
            raise type(error)(error.errno, f"Checkpoint: {error.strerror}") from None

    def on_step(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Writes the file."""
        self._write(trainer)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Writes the file, if it is time, or if it is the best."""
        due = self.every_epochs is not None and trainer.epochs % self.every_epochs == 0
        if due and (self._best is None or self._best.improves(logs)):
            self._write(trainer)

    def on_not_finite(self, trainer: Trainer, error: FloatingPointError) -> None:  # noqa: ARG002 - the protocol
        """Keeps the last file: going on from here would end here again."""
        self._spoiled = True

    def on_run_over(self, trainer: Trainer, error: BaseException | None) -> None:  # noqa: ARG002 - the protocol
        """Writes the file at the end of a run; see the class."""
        if not self._writing:
            return
        self._writing = False
        if self._best is None and not self._spoiled:
            self._write(trainer)
        if self._failed is not None:
            raise OSError(
                self._failed.errno,
                f"Checkpoint: {self.path} could not be written: {self._failed.strerror or self._failed}. "
                "Nothing that was learned is lost: the trainer has it, and trainer.save(...) can write it "
                "elsewhere, or here once there is room",
            )

    def state(self) -> dict[str, Any]:
        """The best value so far."""
        return {} if self._best is None else {"best": self._best.value}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state`."""
        if self._best is not None and "best" in state:
            self._best.value = float(state["best"])

    def _write(self, trainer: Trainer) -> None:
        place = (trainer.steps, trainer.epochs, trainer.stop_training)
        if place == self._written:
            return
        try:
            files.shift(self.path, self.keep)
            trainer.save(self.path)
        except OSError as error:
            self._failed = error
            warnings.warn(
                f"Checkpoint: {self.path} could not be written at step {trainer.steps}: "
                f"{error.strerror or error}. Training goes on; the last whole file stays",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        self._written, self._failed = place, None


class _Best(Monitoring):
    """Whether an epoch is the best so far."""

    _called = "Checkpoint"

    def _forget(self) -> None:
        self.value = math.inf if self.mode == "min" else -math.inf

    def improves(self, logs: Mapping[str, Any]) -> bool:
        """Whether this epoch's value is better than all before; remembers it."""
        value = self._value(logs)
        better = value < self.value if self.mode == "min" else value > self.value
        if better:
            self.value = value
        return better
