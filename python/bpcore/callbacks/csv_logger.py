"""Epochs in a CSV file."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics import settings
from bpcore.callbacks.base import Callback, last_rate

if TYPE_CHECKING:
    import os
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
            first epoch is done.

    A folder that isn't there is a FileNotFoundError, and a file to go on with that has other columns, or is
    of another kind, a ValueError, before the first step.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = settings.path("CSVLogger", "path", path)
        self.append = settings.flag("CSVLogger", "append", append)
        self._forget()

    def _forget(self) -> None:
        self._names: Sequence[str] = ()  # of the run's values
        self._begin = 0  # where this run's lines begin in the file, in bytes
        self._goes_on = False  # whether the file has lines of this run that another process has written
        self._columns: list[str] | None = None  # what this process has written, None before its first line

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Finds out whether the file can be written, and whether it is one to go on with."""
        self._forget()
        self._names = trainer.history.names
        with open(self.path, "ab"):
            pass
        if self.append:
            lines = self._lines()
            self._check(lines)
            self._begin = _size(lines)

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Writes the epoch's line."""
        scalars = {name: value for name, value in logs.items() if np.ndim(value) == 0}
        columns = [*_COUNTS, *scalars]
        found = self._columns or self._cut(trainer.epochs - 1)
        if found is not None and found != columns:
            raise self._other(found, columns)
        text = _line(
            [
                trainer.epochs,
                trainer.steps,
                round(trainer.history.seconds[-1], 6),
                last_rate(trainer),
                *map(float, scalars.values()),
            ]
        )
        with open(self.path, "ab") as file:
            file.write(((_line(columns) if found is None else "") + text).encode())
        self._columns = columns

    def _cut(self, epochs: int) -> list[str] | None:
        """Cuts the file off behind what is to stay: earlier runs' lines, and this one's up to `epochs`.

        The columns of what stays, None if nothing does.
        """
        lines = self._lines()
        while lines and _size(lines) > self._begin and not (self._goes_on and self._stays(lines, epochs)):
            lines.pop()
        with open(self.path, "ab") as file:
            file.truncate(_size(lines))
        return _fields(lines[0]) if lines else None

    def _stays(self, lines: Sequence[bytes], epochs: int) -> bool:
        """Whether the last line is the header, or that of an epoch that is done."""
        if len(lines) == 1:
            return True
        epoch = _fields(lines[-1])[0]
        if not epoch.isdigit():
            raise ValueError(
                f"CSVLogger: line {len(lines)} of {self.path} must begin with an epoch, got {epoch!r}"
            )
        return int(epoch) <= epochs

    def _lines(self) -> list[bytes]:
        """The lines of the file, without one that was cut by the end of a process."""
        with open(self.path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
        return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines

    def _check(self, lines: Sequence[bytes]) -> None:
        """ValueError if the file can't have been written for these values, some of which may be arrays."""
        if not lines:
            return
        columns, left = _fields(lines[0]), iter(self._names)
        if tuple(columns[:4]) != _COUNTS or not all(name in left for name in columns[4:]):
            raise self._other(columns, [*_COUNTS, *self._names])

    def _other(self, found: Sequence[str], columns: Sequence[str]) -> ValueError:
        return ValueError(
            f"CSVLogger: {self.path} has the columns {', '.join(found)}, but this run has "
            f"{', '.join(columns)}; give another path"
        )

    def state(self) -> dict[str, Any]:
        """Where this run's lines begin in the file, in bytes, and whether there are any."""
        return {"begin": self._begin, "goes_on": self._goes_on or self._columns is not None}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Goes on in the file, without the lines of epochs that will be done again."""
        self._begin, self._goes_on = state["begin"], state["goes_on"]
        if self._goes_on:
            self._check(self._lines())


def _size(lines: Sequence[bytes]) -> int:
    return sum(map(len, lines))


def _line(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _fields(line: bytes) -> list[str]:
    return next(csv.reader([line.decode(errors="replace")]), []) or [""]
