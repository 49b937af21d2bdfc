"""Values for TensorBoard, by the writer of its own package (the extra ``tensorboard``)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics import settings
from bpcore.callbacks.base import Callback, last_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.basics.arrays import Array
    from bpcore.trainer import Trainer

__all__ = ["TensorBoard"]

_BINS = 30


class TensorBoard(Callback):
    """Writes the values of each epoch for TensorBoard: ``tensorboard --logdir folder`` shows them.

    Tags and runs are Keras's: "epoch_loss" and those of the metrics, in the runs "train" and "validation",
    which share their charts, by epoch; "epoch_learning_rate", that of the epoch's last step, in "train". With
    `every_steps`, "batch_loss", metrics and "batch_learning_rate" in the run "steps", by step. Values that
    are arrays are left out. All of it can be looked at while training goes on.

    Args:
        folder: where runs are written, made if it isn't there. A run that begins again at an epoch, as one
            that goes on from a checkpoint does, replaces what an earlier one has written from there on.
        every_steps: write each Nth step's values, too; at least 1.
        histograms: write a histogram of each parameter after each epoch, by its name, with "/" for dots.

    ImportError without the package tensorboard. TensorFlow is not needed, and not imported.
    """

    def __init__(
        self, folder: str | os.PathLike[str], every_steps: int | None = None, histograms: bool = False
    ) -> None:
        _library()
        self.folder = settings.path("TensorBoard", "folder", folder, "folder")
        self.every_steps = every_steps
        if every_steps is not None:
            self.every_steps = settings.count("TensorBoard", "every_steps", every_steps, 1)
        self.histograms = settings.flag("TensorBoard", "histograms", histograms)
        self._writers: dict[str, _Writer] = {}

    def on_train_begin(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Makes the folder."""
        os.makedirs(self.folder, exist_ok=True)

    def on_step(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Writes the step's values."""
        values = {f"batch_{name}": value for name, value in logs.items()}
        self._write("steps", trainer.steps, {**values, "batch_learning_rate": last_rate(trainer)})

    def on_epoch_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:
        """Writes the epoch's values."""
        held_out = {name: value for name, value in logs.items() if name.startswith("val_")}
        values = {f"epoch_{name}": value for name, value in logs.items() if name not in held_out}
        histograms = trainer.parameters if self.histograms else {}
        self._write(
            "train", trainer.epochs, {**values, "epoch_learning_rate": last_rate(trainer)}, histograms
        )
        if held_out:
            values = {f"epoch_{name.removeprefix('val_')}": value for name, value in held_out.items()}
            self._write("validation", trainer.epochs, values)

    def on_train_end(self, trainer: Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(
        self, run: str, step: int, values: Mapping[str, Any], parameters: Mapping[str, Array] | None = None
    ) -> None:
        if run not in self._writers:
            self._writers[run] = _Writer(os.path.join(self.folder, run), step)
        self._writers[run].add(step, values, parameters or {})


class _Writer:
    """An event file of TensorBoard: its own messages and records, in an ordinary file.

    Not its EventFileWriter, which opens the file with TensorFlow where that is installed.
    """

    def __init__(self, folder: str, first: int) -> None:
        """Begins at step `first`: what older files of the folder have from there on is no longer shown."""
        import socket  # slow to load

        self._messages, record_writer = _library()
        os.makedirs(folder, exist_ok=True)
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now}"
        self._records = record_writer(open(os.path.join(folder, name), "xb"))  # noqa: SIM115 - see `close`
        event, session = self._messages.event_pb2.Event, self._messages.event_pb2.SessionLog
        self._put(event(wall_time=now / 1e9, file_version="brain.Event:2"))
        self._put(event(wall_time=now / 1e9, step=first, session_log=session(status=session.START)))

    def add(self, step: int, values: Mapping[str, Any], parameters: Mapping[str, Array]) -> None:
        """Writes an event and hands it to the system."""
        make = self._messages.summary_pb2.Summary
        summary = make()
        for tag, value in values.items():
            if np.ndim(value) == 0:
                summary.value.append(make.Value(tag=tag, simple_value=float(value)))
        for name, array in parameters.items():
            histogram = self._histogram(array)
            if histogram is not None:
                summary.value.append(make.Value(tag=name.replace(".", "/"), histo=histogram))
        self._put(self._messages.event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
        self._records.flush()

    def _histogram(self, array: Array) -> Any:
        """Of the finite elements, None if there are none."""
        values = array[np.isfinite(array)].astype(np.float64)
        if not values.size:
            return None
        low, high = values.min(), values.max()
        least = 2 * _BINS * np.spacing(max(-low, high))  # what NumPy can cut into bins
        margin = max(0.5, least) if high - low < least else 0.0
        counts, edges = np.histogram(values, _BINS, (low - margin, high + margin))
        with np.errstate(over="ignore"):
            squares = np.square(values).sum()
        return self._messages.summary_pb2.HistogramProto(
            min=low,
            max=high,
            num=values.size,
            sum=values.sum(),
            sum_squares=squares,
            bucket_limit=edges[1:],
            bucket=counts,
        )

    def _put(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def close(self) -> None:
        self._records.close()


def _library() -> tuple[Any, Any]:
    """The messages of TensorBoard's files, and what writes them as records."""
    try:
        from tensorboard.compat import proto
        from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: F401 - parts of it
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError:
        raise ImportError("TensorBoard needs its package: pip install tensorboard") from None
    return proto, RecordWriter
