"""Epochs in a CSV file."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import settings
from bpcore.callbacks.base import Callback, last_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bpcore.trainer import Trainer

__all__ = ["CSVLogger"]

_COUNTS = ("epoch", "steps", "seconds", "learning_rate")


class CSVLogger(Callback):
    """Writes a line of values to a file after each epoch, as `pandas.read_csv` reads it.

    Columns: epoch; steps, done so far; seconds, that the epoch took; learning_rate, of its last step; then
    loss, metrics and their "val_" ones. Values that are arrays are left out. Numbers are written so that they
    are read back as they were, seconds to the microsecond.

    A line is written at once, and the file is closed again: a process that is killed loses no finished
    epoch. A run that goes on from a checkpoint (`fit(resume=)`) goes on in the file, too: lines of epochs
    that come after the checkpoint are replaced, and so are the remains of a line that was cut.

    Args:
        path: the file.
        append: keep what earlier runs have written, and write below it; else they are replaced when the
            first epoch begins.

    A folder that isn't there is a FileNotFoundError, and a file to go on with that has other columns, or is
    of another kind, a ValueError, before the first step.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = os.path.abspath(path)
        self.append = settings.flag("CSVLogger", "append", append)
        self._forget()

    def _forget(self) -> None:
        self._ready = False
        self._begin: int | None = None  # where this run's lines begin, in bytes; None before it is known
        self._columns: list[str] | None = None  # those of the file, once it has a header

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Finds out whether the file can be written."""
        self._forget()
        with open(self.path, "ab"):
            pass

    def on_epoch_begin(self, trainer: Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the protocol
        """Before the first epoch, makes the file ready for this run's lines."""
        if not self._ready:
            self._prepare(trainer)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Writes the epoch's line."""
        if not self._ready:
            self._prepare(trainer)
        scalars = {name: value for name, value in logs.items() if np.ndim(value) == 0}
        columns = [*_COUNTS, *scalars]
        counts = (
            trainer.epochs,
            trainer.steps,
            round(trainer.history.seconds[-1], 6),
            last_rate(trainer),
        )
        text = _line([*counts, *map(float, scalars.values())])
        if self._columns is None:
            text = _line(columns) + text
        elif self._columns != columns:
            raise self._other(columns)
        with open(self.path, "ab") as file:
            file.write(text.encode())
        self._columns = columns

    def _prepare(self, trainer: Trainer) -> None:
        """Cuts the file off behind what is to stay, and reads its header."""
        with open(self.path, "a+b") as file:
            file.seek(0)
            lines = file.read().splitlines(keepends=True)
            if self._begin is None and not self.append:
                lines = []
            if lines and not lines[-1].endswith(b"\n"):  # cut by the end of the process
                lines.pop()
            if lines:
                self._columns = _fields(lines[0])
                self._check(trainer.history.names)
            if self._begin is None:
                self._begin = sum(map(len, lines))
            while len(lines) > 1 and self._is_later(lines, trainer.epochs):
                lines.pop()
            file.truncate(sum(map(len, lines)))
        self._ready = True

    def _is_later(self, lines: Sequence[bytes], epochs: int) -> bool:
        """Whether the last line is this run's, of an epoch that is not done yet."""
        assert self._begin is not None
        if sum(map(len, lines)) <= self._begin:
            return False
        epoch = _fields(lines[-1])[0]
        if not epoch.isdigit():
            raise ValueError(
                f"CSVLogger: line {len(lines)} of {self.path} must begin with an epoch, got {epoch!r}"
            )
        return int(epoch) > epochs

    def _check(self, names: Sequence[str]) -> None:
        """ValueError if the file can't have been written for these values, some of which may be arrays."""
        assert self._columns is not None
        left = iter(names)
        if tuple(self._columns[:4]) != _COUNTS or not all(name in left for name in self._columns[4:]):
            raise self._other([*_COUNTS, *names])

    def _other(self, columns: Sequence[str]) -> ValueError:
        return ValueError(
            f"CSVLogger: {self.path} has the columns {', '.join(self._columns or ())}, but this run has "
            f"{', '.join(columns)}; give another path, or append=False without resume"
        )

    def state(self) -> dict[str, Any]:
        """Where this run's lines begin in the file, in bytes."""
        return {"begin": self._begin}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on in the file, without the lines of epochs that will be done again."""
        self._begin = state["begin"]


def _line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _fields(line: bytes) -> list[str]:
    return next(csv.reader([line.decode(errors="replace")]), [""])
