"""CSVLogger: what stands in the file, and what a killed, appended or resumed run leaves of it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, schedules
from bpcore.callbacks import Checkpoint, CSVLogger, EarlyStopping, LambdaCallback
from tests.training.problems import blobs, child_environment, network

X, Y = blobs(40)
HEADER = "epoch,steps,seconds,learning_rate,loss,accuracy"


def _trainer(lr: Any = 0.01, **options: Any) -> bp.Trainer:
    options = {"metrics": ["accuracy"], **options}
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(lr), **options)


def _fit(trainer: bp.Trainer, *callbacks: Any, epochs: int = 3, **options: Any) -> bp.History:
    """Three steps an epoch."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=callbacks, progress=False, **options)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _without_times(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return [row[:2] + row[3:] for row in csv.reader(file)]


def test_the_lines_are_the_history(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trainer = _trainer(schedules.Exponential(0.1, 0.9))
    history = _fit(trainer, CSVLogger(path), validation_data=blobs(20))
    rows = _rows(path)
    assert list(rows[0]) == [*HEADER.split(","), "val_loss", "val_accuracy"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["steps"] for row in rows] == ["3", "6", "9"]
    for name in history:
        assert [float(row[name]) for row in rows] == history[name], "read back as they were"
    assert [float(row["seconds"]) for row in rows] == pytest.approx(history.seconds, abs=1e-6)
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.1 * 0.9**n for n in (2, 5, 8)])


def test_pandas_reads_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    history = _fit(_trainer(), CSVLogger(tmp_path / "log.csv"), epochs=4)
    frame = pandas.read_csv(tmp_path / "log.csv")
    assert frame["loss"].tolist() == pytest.approx(history["loss"], rel=1e-15)
    assert frame["epoch"].tolist() == [1, 2, 3, 4]
    assert str(frame["epoch"].dtype) == "int64"


def test_a_line_is_there_when_its_epoch_is_done(tmp_path: Path) -> None:
    path, seen = tmp_path / "log.csv", []
    look = LambdaCallback(on_epoch_end=lambda *_: seen.append(len(path.read_text().splitlines())))
    _fit(_trainer(), CSVLogger(path), look)
    assert seen == [2, 3, 4]


def test_arrays_are_left_out_and_numbers_that_are_not_finite_are_not(tmp_path: Path) -> None:
    path, logger, trainer = tmp_path / "log.csv", CSVLogger(tmp_path / "log.csv"), _trainer()
    _fit(trainer)
    logger.on_train_begin(trainer, {})
    values: Any = {"loss": np.float32(0.5), "confusion": np.eye(2), "auc": float("nan"), "count": 3}
    logger.on_epoch_end(trainer, values)
    assert _without_times(path) == [
        ["epoch", "steps", "learning_rate", "loss", "auc", "count"],
        ["3", "9", "0.01", "0.5", "nan", "3.0"],
    ]


def test_an_epoch_of_which_all_steps_were_skipped_has_the_first_rate(tmp_path: Path) -> None:
    rates = [0.1, 0.2, 0.3]
    trainer = _trainer(lambda step: rates[step], nonfinite="skip")
    trainer.model.build((None, 4))
    trainer.parameters["1.bias"][...] = np.inf
    _fit(trainer, CSVLogger(tmp_path / "log.csv"), epochs=1)
    assert _without_times(tmp_path / "log.csv")[1][:3] == ["1", "0", "0.1"]


def test_a_name_with_a_comma_stays_one_column(tmp_path: Path) -> None:
    def wrong(prediction: Any, target: Any) -> Any:  # noqa: ARG001
        return bp.ops.mean(prediction)

    wrong.__name__ = 'a, "b"'
    _fit(_trainer(metrics=[wrong]), CSVLogger(tmp_path / "log.csv"))
    assert list(_rows(tmp_path / "log.csv")[0])[-1] == 'a, "b"'


def test_a_later_run_replaces_the_file_or_goes_on_below(tmp_path: Path) -> None:
    path, trainer = tmp_path / "log.csv", _trainer()
    logger = CSVLogger(path)
    _fit(trainer, logger, epochs=2)
    _fit(trainer, logger, epochs=1)
    assert [row["epoch"] for row in _rows(path)] == ["3"]
    _fit(trainer, CSVLogger(path, append=True), epochs=2)
    assert [row["epoch"] for row in _rows(path)] == ["3", "4", "5"]
    _fit(_trainer(), CSVLogger(path, append=True), epochs=2)
    assert [row["epoch"] for row in _rows(path)] == ["3", "4", "5", "1", "2"], "what others wrote stays"


@pytest.mark.parametrize("before", ["", HEADER, HEADER + "\n"])
def test_appending_to_a_file_without_lines(before: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(before)
    _fit(_trainer(), CSVLogger(path, append=True), epochs=1)
    assert [row["epoch"] for row in _rows(path)] == ["1"]


@pytest.mark.parametrize("left", range(1, 12))
def test_a_line_that_was_cut_is_taken_away(left: int, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    whole = f"{HEADER}\n1,3,0.5,0.01,1.25,0.5\n"
    path.write_text(whole + "2,6,0.5,0.01,1.0,0.5"[:left])
    _fit(_trainer(), CSVLogger(path, append=True), epochs=1)
    assert path.read_text().startswith(whole + "1,3,")
    assert len(_rows(path)) == 2


@pytest.mark.parametrize(
    "before",
    [
        "epoch,steps,seconds,learning_rate,loss\n",
        "epoch,steps,seconds,learning_rate,loss,f1,accuracy\n",
        "epoch,steps,seconds,learning_rate,accuracy,loss\n1,2,3,4,5,6\n",
        "name,age\nAda,36\n",
        "\n",
    ],
)
def test_another_header_is_refused_and_the_file_stays(before: str, tmp_path: Path) -> None:
    """One that lacks a value may have left an array out, which shows when the first epoch is done."""
    path = tmp_path / "log.csv"
    path.write_text(before)
    trainer = _trainer()
    with pytest.raises(ValueError, match="CSVLogger: .*log.csv has the columns .*but this run has epoch"):
        _fit(trainer, CSVLogger(path, append=True))
    assert path.read_text() == before
    assert trainer.steps == (3 if before.endswith("rate,loss\n") else 0)


def test_a_folder_that_is_not_there_is_found_before_the_first_step(tmp_path: Path) -> None:
    trainer = _trainer()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        _fit(trainer, CSVLogger(tmp_path / "nowhere" / "log.csv"))
    assert trainer.steps == 0
    for path in ("", None, 3):
        with pytest.raises(TypeError, match=f"CSVLogger: path must be the name of a file, got {path!r}"):
            CSVLogger(path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="CSVLogger: append must be True or False, got 'yes'"):
        CSVLogger(tmp_path / "log.csv", append="yes")  # type: ignore[arg-type]


def test_another_callbacks_refusal_leaves_an_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _fit(_trainer(), CSVLogger(path))
    before = path.read_text()
    with pytest.raises(ValueError, match="no 'val_loss'"):
        _fit(_trainer(), CSVLogger(path), EarlyStopping())
    assert path.read_text() == before


# Going on


class Killed(Checkpoint):
    """Written after the step `saved`, of a process that is killed after the step `killed`."""

    def __init__(self, path: Path, saved: int, killed: int) -> None:
        super().__init__(path, every_steps=1)
        self.saved, self.killed = saved, killed

    def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        if trainer.steps == self.saved:
            super().on_step(trainer, logs)
        if trainer.steps == self.killed:
            raise ZeroDivisionError

    def on_run_over(self, trainer: bp.Trainer, error: BaseException | None) -> None:
        """Not reached."""


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("earlier", [0, 2])
@pytest.mark.parametrize(
    ("saved", "killed"), [(2, 2), (2, 9), (3, 3), (3, 4), (3, 12), (7, 7), (7, 14), (12, 14)]
)
@pytest.mark.parametrize("cut", [0, 7])
def test_a_run_that_goes_on_leaves_the_same_file(
    append: bool, earlier: int, saved: int, killed: int, cut: int, tmp_path: Path
) -> None:
    """It was saved at one step, killed after another, and goes on to the fifth epoch, of three steps each."""
    paths, checkpoint = [tmp_path / "whole.csv", tmp_path / "resumed.csv"], tmp_path / "run"
    for path in paths:
        if earlier:
            _fit(_trainer(), CSVLogger(path), epochs=earlier)
    _fit(_trainer(), CSVLogger(paths[0], append), epochs=5)

    before = paths[1].read_bytes() if earlier else b""
    with pytest.raises(ZeroDivisionError):
        _fit(_trainer(), CSVLogger(paths[1], append), Killed(checkpoint, saved, killed), epochs=5)
    content = paths[1].read_bytes()
    if killed > saved and content != before:
        paths[1].write_bytes(content[: len(content) - cut])

    late = _trainer()
    _fit(late, CSVLogger(paths[1], append), epochs=5, resume=checkpoint)
    assert late.history.epochs == [1, 2, 3, 4, 5]
    assert _without_times(paths[1]) == _without_times(paths[0])


def _saved(path: Path, *callbacks: Any, epochs: int = 2) -> Path:
    _fit(_trainer(), *callbacks, Checkpoint(path), epochs=epochs)
    return path


def test_going_on_without_the_file_begins_one(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    checkpoint = _saved(tmp_path / "run", CSVLogger(path))
    path.unlink()
    _fit(_trainer(), CSVLogger(path), epochs=3, resume=checkpoint)
    assert [row["epoch"] for row in _rows(path)] == ["3"]


def test_going_on_before_the_first_line_replaces_another_file(tmp_path: Path) -> None:
    """As the run would have done, had it not been killed."""
    path, checkpoint = tmp_path / "log.csv", tmp_path / "run"
    path.write_text("name,age\nAda,36\n")
    with pytest.raises(ZeroDivisionError):
        _fit(_trainer(), CSVLogger(path), Killed(checkpoint, 1, 2))
    assert path.read_text() == "name,age\nAda,36\n"
    _fit(_trainer(), CSVLogger(path), epochs=2, resume=checkpoint)
    assert [row["epoch"] for row in _rows(path)] == ["1", "2"]


def test_going_on_in_a_file_that_someone_has_spoilt(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    checkpoint = _saved(tmp_path / "run", CSVLogger(path))
    path.write_text(f"{HEADER}\nmean,,,,1.5,0.5\n")
    with pytest.raises(ValueError, match="line 2 of .*log.csv must begin with an epoch, got 'mean'"):
        _fit(_trainer(), CSVLogger(path), epochs=3, resume=checkpoint)
    path.write_text(f"{HEADER}\n\n")
    with pytest.raises(ValueError, match="line 2 of .*log.csv must begin with an epoch, got ''"):
        _fit(_trainer(), CSVLogger(path), epochs=3, resume=checkpoint)
    path.write_text("epoch,steps,seconds\n1,3,0.5\n")
    trainer = _trainer()
    with pytest.raises(ValueError, match="has the columns epoch, steps, seconds, but this run has epoch,"):
        _fit(trainer, CSVLogger(path), epochs=3, resume=checkpoint)
    assert trainer.steps == 0, "a run that can't go on leaves the trainer as it was"


def forever(path: str) -> None:
    """The body of a child process, which is killed."""
    _fit(_trainer(), CSVLogger(path), epochs=10**9)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    code = "import sys; from tests.training.test_csv_logger import forever; forever(sys.argv[1])"
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], env=child_environment())
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.read_bytes().count(b"\n") < 20:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout=30)
    finally:
        child.kill()
    text = path.read_text()
    assert text.endswith("\n")
    rows = _rows(path)
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(None not in row.values() for row in rows)
    assert len(rows) >= 19
