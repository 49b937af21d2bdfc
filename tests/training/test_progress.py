"""What `fit` shows of itself: a bar where there is a screen, lines where there is a log."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, Checkpoint
from bpcore.watching import progress
from tests.training.problems import blobs, network


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


class Log:
    """All that was written to a standard error that is no terminal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def _lines(log: Log) -> list[str]:
    text = log.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    return text.splitlines()


def _fit(*callbacks: Callback, **options: Any) -> bp.Trainer:
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"])
    trainer.fit(*blobs(40), **{"epochs": 3, "batch_size": 8, "callbacks": list(callbacks), **options})
    return trainer


# A log


def test_a_log_has_a_line_for_the_first_epoch_and_the_last(log: Log) -> None:
    """Short epochs: there are no more than one a second."""
    trainer = _fit(epochs=300, validation_data=blobs(20))
    lines = _lines(log)
    assert 2 <= len(lines) < 30
    pattern = r"epoch (\d+)/300, loss \S+, accuracy \S+, val_loss \S+, val_accuracy \S+, [\d,]+ samples/s"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found)
    assert [match[1] for match in found if match][:: len(found) - 1] == ["1", "300"]
    assert f"loss {trainer.history['loss'][-1]:.4g}, " in lines[-1]


def test_epochs_of_a_second_have_a_line_each(log: Log, clock: Clock) -> None:
    shown = progress.Progress(3, 1000, True)
    for epoch in (1, 2, 3):
        clock.now += 2
        shown.advance(1000)
        shown.epoch_done(epoch, {"loss": 1 / epoch})
    shown.close()
    assert _lines(log) == [
        "epoch 1/3, loss 1, 500 samples/s",
        "epoch 2/3, loss 0.5, 500 samples/s",
        "epoch 3/3, loss 0.3333, 500 samples/s",
    ]


@pytest.mark.parametrize(("samples", "place"), [(1000, "60%"), (None, "1,600 samples so far")])
def test_a_long_epoch_has_a_line_each_ten_seconds(
    log: Log, clock: Clock, samples: int | None, place: str
) -> None:
    shown = progress.Progress(2, samples, "log")
    clock.now += 4
    shown.advance(1000)
    shown.epoch_done(1, {"loss": 2.0})
    for _ in range(60):
        clock.now += 0.2
        shown.advance(12, lambda: {"loss": 1.5})
    shown.close()
    lines = _lines(log)
    assert lines[0] == "epoch 1/2, loss 2, 250 samples/s"
    assert lines[1:] == [f"epoch 2/2 ({place}), loss 1.5, 60 samples/s"]


def test_a_run_that_goes_on_counts_what_was_done_and_not_its_speed(
    log: Log, clock: Clock, tmp_path: Any
) -> None:
    shown = progress.Progress(3, 1000, "log", 1)
    shown.skip(500)
    for _ in range(20):
        clock.now += 1
        shown.advance(20, lambda: {"loss": 1.5})
    shown.epoch_done(2, {"loss": 1.0})
    shown.close()
    assert _lines(log)[0] == "epoch 2/3 (70%), loss 1.5, 20 samples/s"
    assert _lines(log)[-1].startswith("epoch 2/3, loss 1, ")
    _fit(Checkpoint(tmp_path / "run"), epochs=2, progress=False)
    lines = len(_lines(log))
    _fit(epochs=3, resume=tmp_path / "run", progress="log")
    assert [line.split(",")[0] for line in _lines(log)[lines:]] == ["epoch 3/3"]
    shown = progress.Progress(3, 1000, "bar", 1)
    shown.skip(500)
    shown.close()
    assert "epoch 2/3:  50%" in log.getvalue()
    assert "1.50k/3.00k" in log.getvalue()


def test_an_epoch_that_had_no_line_of_its_own_has_one_at_the_end(log: Log, clock: Clock) -> None:
    shown = progress.Progress(100, 10, "log")
    for epoch in range(1, 43):
        clock.now += 0.001
        shown.advance(10)
        shown.epoch_done(epoch, {"loss": 1.0})
    shown.close()
    shown.close()
    assert [line.split(",")[0] for line in _lines(log)] == ["epoch 1/100", "epoch 42/100"]


def test_what_needs_all_rows_is_not_computed_within_an_epoch(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the area under a curve; sums are shown, and arrays never."""
    monkeypatch.setattr(progress._Bar, "patience", 0.0)
    trainer = bp.Trainer(network(8, 1), "binary_cross_entropy", metrics=["accuracy", "roc_auc"])
    x, y = blobs(40, classes=2)
    computed: list[int] = []
    read = bp.metrics.base.read  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "bpcore.metrics.base.read", lambda metric, parts: computed.append(1) or read(metric, parts)
    )
    trainer.fit(x, y, epochs=3, batch_size=8, callbacks=[_EveryStep()], progress="bar")
    assert "roc_auc" in log.getvalue()
    assert len(computed) <= 3 + 15  # the epochs, and the steps that the callback is told of


class _EveryStep(Callback):
    every_steps = 1

    def on_step(self, trainer: bp.Trainer, logs: Any) -> None:
        pass


def test_arrays_are_left_out(log: Log) -> None:
    shown = progress.Progress(1, 10, "log")
    shown.epoch_done(1, {"loss": np.float64(0.5), "matrix": np.eye(2)})
    assert _lines(log)[0].startswith("epoch 1/1, loss 0.5, ")


# A bar


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    trainer = _fit(validation_split=0.2)
    assert capsys.readouterr().out == ""
    last = screen.getvalue().split("\r")[-1]
    assert last.startswith("epoch 3/3: 100%")
    assert "96.0/96.0" in last
    assert f"loss {trainer.history['loss'][-1]:.4g}" in last
    assert f"val_loss {trainer.history['val_loss'][-1]:.4g}" in last


def test_a_bar_can_be_asked_for(log: Log) -> None:
    _fit(progress="bar")
    assert "epoch 3/3: 100%" in log.getvalue()


def test_a_bar_without_a_known_number_of_samples_counts(log: Log) -> None:
    shown = progress.Progress(2, None, "bar")
    shown.advance(1500)
    shown.epoch_done(1, {"loss": 1.0})
    shown.close()
    assert "epoch 2/2: 1.50k samples" in log.getvalue()


def test_a_bar_is_drawn_ten_times_a_second_at_most(clock: Clock, log: Log) -> None:
    shown = progress.Progress(1000, 10, "bar")
    asked = []
    for epoch in range(1, 1001):
        clock.now += 0.001
        shown.advance(10, lambda: asked.append(1) or {"loss": 1.0})  # type: ignore[func-returns-value]
        shown.epoch_done(epoch, {"loss": 1.0})
    assert len(asked) < 12
    assert log.getvalue().count("\r") < 14
    shown.close()
    assert "10.0k/10.0k" in log.getvalue()


def _in_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]


def test_a_notebook_has_a_bar_of_text_where_ipywidgets_is_missing(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    """And no warning of it, as warnings are errors here."""
    from tqdm import notebook

    monkeypatch.setattr(notebook, "IProgress", None)
    _in_notebook(monkeypatch)
    _fit()
    assert "epoch 3/3: 100%" in log.getvalue()


def test_a_notebook_has_its_own_bar_where_there_is_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    from tqdm import notebook

    made: list[dict[str, Any]] = []

    class Widget:
        def __init__(self, **options: Any) -> None:
            made.append(options)

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: None

    monkeypatch.setattr(notebook, "IProgress", object())
    monkeypatch.setattr(notebook, "tqdm", Widget)
    _in_notebook(monkeypatch)
    _fit()
    assert [options["total"] for options in made] == [120]


# Neither


def test_false_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    _fit(progress=False)
    assert screen.getvalue() == ""


def test_without_a_standard_error_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    _fit()


class _Gone(io.StringIO):
    """A terminal that was closed while a program runs on."""

    def write(self, text: str) -> int:  # noqa: ARG002 - the protocol
        raise OSError(5, "Input/output error")


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("show", [True, "log", "bar"])
@pytest.mark.parametrize("stream", [_Gone(), _closed()], ids=["gone", "closed"])
def test_a_standard_error_that_is_gone_does_not_end_training(
    stream: io.StringIO, show: bool | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(_fit(progress=show).history.epochs) == 3


def test_a_run_without_epochs_shows_nothing(log: Log) -> None:
    _fit(epochs=0)
    assert log.getvalue() == ""


@pytest.mark.parametrize("wrong", [None, "auto", 1, 2])
def test_another_value_is_refused_before_anything_changes(wrong: Any) -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    with pytest.raises(ValueError, match='progress must be True, False, "bar" or "log"'):
        trainer.fit(*blobs(40), epochs=1, progress=wrong)
    assert trainer.steps == 0


def test_what_is_shown_does_not_change_training(log: Log) -> None:  # noqa: ARG001 - to keep it quiet
    losses = [_fit(progress=each).history["loss"] for each in (False, "bar", "log")]
    assert losses[0] == losses[1] == losses[2]


def test_the_last_values_stand_there_after_an_error(log: Log) -> None:
    class Failing(Callback):
        def on_epoch_end(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002
            if trainer.epochs == 2:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _fit(Failing())
    assert [line.split(",")[0] for line in _lines(log)] == ["epoch 1/3", "epoch 2/3"]
