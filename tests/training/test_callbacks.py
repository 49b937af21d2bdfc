"""Callbacks: when each is called, with what, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, LambdaCallback
from tests.training.problems import bits, blobs, network


class Recorder(Callback):
    """Writes down each event but steps with the counts at that point and a copy of its values."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int, dict[str, float]]] = []

    def _note(self, event: str, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.events.append((event, trainer.epochs, trainer.steps, dict(logs)))

    def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self._note("train begin", trainer, logs)

    def on_epoch_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self._note("epoch begin", trainer, logs)

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self._note("epoch end", trainer, logs)

    def on_train_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self._note("train end", trainer, logs)

    def steps(self) -> list[int]:
        return [step for event, _, step, _ in self.events if event == "step"]


class StepRecorder(Recorder):
    """Writes down steps, too."""

    def __init__(self, every_steps: int) -> None:
        super().__init__()
        self.every_steps = every_steps

    def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self._note("step", trainer, logs)


def _trainer(**options: Any) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], **options)


def _fit(trainer: bp.Trainer, *callbacks: Callback, epochs: int = 2, **options: Any) -> bp.History:
    x, y = blobs(40)
    return trainer.fit(
        x, y, epochs=epochs, batch_size=16, callbacks=list(callbacks), progress=False, **options
    )


def test_events_come_in_order_with_the_counts_of_what_is_done() -> None:
    """40 samples in batches of 16: three steps an epoch."""
    recorder = StepRecorder(every_steps=2)
    _fit(_trainer(), recorder)
    assert [event[:3] for event in recorder.events] == [
        ("train begin", 0, 0),
        ("epoch begin", 0, 0),
        ("step", 0, 2),
        ("epoch end", 1, 3),
        ("epoch begin", 1, 3),
        ("step", 1, 4),
        ("step", 1, 6),
        ("epoch end", 2, 6),
        ("train end", 2, 6),
    ]


def test_callbacks_may_be_one_or_come_from_anything_to_go_through() -> None:
    x, y = blobs()
    for make in (
        lambda each: each,
        lambda each: iter([each]),
        lambda each: {each: "a note"},
        lambda each: (each,),
    ):
        recorder = Recorder()
        bp.Trainer(network(8, 3), "cross_entropy").fit(
            x, y, epochs=1, callbacks=make(recorder), progress=False
        )
        assert recorder.events[-1][0] == "train end"


def test_values_are_those_of_the_history() -> None:
    trainer, recorder = _trainer(), Recorder()
    history = _fit(trainer, recorder, validation_data=blobs(20))
    ends = [logs for event, _, _, logs in recorder.events if event == "epoch end"]
    assert ends == [{name: history[name][i] for name in history} for i in range(2)]
    assert list(ends[0]) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    begins = [logs for event, _, _, logs in recorder.events if event in ("train begin", "epoch begin")]
    assert begins == [{}, {}, {}]
    assert recorder.events[-1][3] == ends[-1]


def test_a_steps_values_are_those_of_its_batch() -> None:
    x, y = blobs(40)
    stepped = _trainer()
    expected = [stepped.step(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]
    recorder = StepRecorder(every_steps=1)
    _fit(_trainer(), recorder, epochs=1, shuffle=False)
    logs = [logs for event, _, _, logs in recorder.events if event == "step"]
    assert [each["loss"] for each in logs] == pytest.approx(expected, rel=1e-6)
    assert all(set(each) == {"loss", "accuracy"} for each in logs)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 7, 100])
def test_on_step_comes_after_exactly_every_nth_step_of_the_trainer(every: int) -> None:
    """Over epochs (of 40 steps) and calls of fit: the count is the trainer's."""
    x, y = blobs(40)
    trainer, recorder = _trainer(), StepRecorder(every)
    for epochs in (2, 1):
        trainer.fit(x, y, epochs=epochs, batch_size=1, callbacks=[recorder], progress=False)
    assert recorder.steps() == list(range(every, 121, every))


def test_skipped_steps_are_no_steps() -> None:
    """The second of three batches is infinite: each epoch has two steps, which are told once."""
    x, y = blobs(48)
    x[20] = np.inf
    trainer, recorders = _trainer(nonfinite="skip"), [StepRecorder(1), StepRecorder(2), StepRecorder(3)]
    trainer.fit(
        x, y, epochs=3, batch_size=16, shuffle=False, callbacks=recorders, progress=False, check_finite=False
    )
    assert (trainer.steps, trainer.skipped) == (6, 3)
    assert [each.steps() for each in recorders] == [[1, 2, 3, 4, 5, 6], [2, 4, 6], [3, 6]]


def test_several_callbacks_each_have_their_own_steps() -> None:
    recorders = [StepRecorder(2), Recorder(), StepRecorder(5)]
    trainer = _trainer()
    trainer.fit(*blobs(40), epochs=1, batch_size=2, callbacks=recorders, progress=False)
    assert [recorder.steps() for recorder in recorders] == [list(range(2, 21, 2)), [], [5, 10, 15, 20]]


def test_callbacks_do_not_change_training() -> None:
    alone, watched = _trainer(), _trainer()
    _fit(alone, epochs=3)
    _fit(watched, StepRecorder(1), StepRecorder(2), epochs=3)
    assert bits(alone) == bits(watched)
    assert alone.history["loss"] == watched.history["loss"]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_stop_training_ends_after_the_step_at_hand(at: int) -> None:
    class Stop(Callback):
        every_steps = 1

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            trainer.stop_training = trainer.steps == at

    trainer, recorder = _trainer(), Recorder()
    history = _fit(trainer, Stop(), recorder, epochs=5)
    assert trainer.steps == at
    assert len(history.epochs) == at // 3
    assert recorder.events[-1][0] == "train end"
    assert _fit(trainer, epochs=1)["loss"], "the next run is not stopped"


def test_one_callback_need_not_be_in_a_list() -> None:
    recorder = Recorder()
    _trainer().fit(*blobs(40), epochs=1, callbacks=recorder, progress=False)
    assert recorder.events


@pytest.mark.parametrize(
    "event", ["on_train_begin", "on_epoch_begin", "on_step", "on_pause", "on_epoch_end", "on_train_end"]
)
def test_an_exception_in_a_callback_comes_through_and_leaves_the_trainer_usable(event: str) -> None:
    class Failing(Callback):
        every_steps = 2

    def fail(self: Callback, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG001
        raise ZeroDivisionError("mine")

    setattr(Failing, event, fail)
    trainer, recorder = _trainer(), Recorder()
    before = trainer.history
    with pytest.raises(ZeroDivisionError, match="mine"):
        _fit(trainer, Failing(), recorder)
    assert recorder.events[-1][0] == "train end"
    if event == "on_epoch_end":
        assert recorder.events[-2][0] == "epoch end", "the others are told what has happened"
    done = {"on_step": 2, "on_pause": 1, "on_epoch_end": 3, "on_train_end": 6}.get(event, 0)
    assert trainer.steps == done
    assert len(trainer.history.epochs) == done // 3
    if event == "on_train_begin":
        assert trainer.history is before, "no run has begun"
    else:
        assert trainer.history.stopped == ("epochs" if event == "on_train_end" else "ZeroDivisionError: mine")

    x, y = blobs(40)
    assert np.isfinite(trainer.predict(x)).all()
    assert np.isfinite(trainer.step(x, y))
    assert len(_fit(trainer, epochs=2).epochs) == 2


def test_an_exception_where_a_loss_is_not_finite_takes_its_place() -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("mine")

    trainer, recorder = _trainer(), Recorder()
    _fit(trainer, epochs=1)
    trainer.parameters["1.bias"][...] = np.nan
    with pytest.raises(ZeroDivisionError, match="mine"):
        _fit(trainer, LambdaCallback(on_not_finite=fail), recorder)
    assert [event for event, *_ in recorder.events] == ["train begin", "epoch begin", "train end"]
    trainer.parameters["1.bias"][...] = 0
    assert len(_fit(trainer, epochs=2).epochs) == 2


def test_pauses_come_between_native_calls() -> None:
    """Ever fewer of them than steps, as calls get longer; each knows what is done."""
    steps: list[int] = []
    trainer = _trainer()
    pause = LambdaCallback(on_pause=lambda each, logs: steps.append(each.steps) or logs == {})
    trainer.fit(*blobs(4000), epochs=2, batch_size=4, callbacks=pause, progress=False)
    assert steps == sorted(set(steps))
    assert {1000, 2000} <= set(steps)
    assert len(steps) < 1000


def test_callbacks_may_use_the_trainer() -> None:
    """predict, evaluate, gradients and save between two steps; fit and step are refused."""
    x, y = blobs(40)
    found: dict[str, Any] = {}

    class Using(Callback):
        every_steps = 2

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            found["prediction"] = trainer.predict(x).shape
            found["loss"] = trainer.evaluate(x, y)["loss"]
            found["gradients"] = list(trainer.gradients(x, y))
            for method in (lambda: trainer.step(x, y), lambda: trainer.fit(x, y, epochs=1)):
                with pytest.raises(RuntimeError, match="in the middle of a fit"):
                    method()

    alone, watched = _trainer(), _trainer()
    _fit(alone)
    _fit(watched, Using())
    assert found["prediction"] == (40, 3)
    assert np.isfinite(found["loss"])
    assert len(found["gradients"]) == 4
    assert bits(alone) == bits(watched)


class Raising(Callback):
    """Raises at one event."""

    def __init__(self, event: str, error: BaseException) -> None:
        def fail(trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG001
            raise error

        setattr(self, event, fail)


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
def test_every_callback_is_told_that_the_run_is_over(event: str, error: BaseException) -> None:
    """Those before and behind the one that raises; one that raises then doesn't hide the first error."""
    recorders = [Recorder(), Recorder()]
    last = [Raising("on_train_end", RuntimeError("later"))]
    with pytest.raises(type(error)) as caught:
        _fit(_trainer(), recorders[0], Raising(event, error), *last, recorders[1])
    assert caught.value is error
    assert [[event for event, *_ in each.events].count("train end") for each in recorders] == [1, 1]
