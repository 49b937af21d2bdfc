"""Methods of callbacks: which are refused when fit begins, and functions in their place."""

from __future__ import annotations

from typing import Any

import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, LambdaCallback
from tests.training.problems import blobs, network
from tests.training.refusal import assert_refused, trained
from tests.training.test_callbacks import StepRecorder


def _trainer() -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"])


def _fit(trainer: bp.Trainer, *callbacks: Callback, epochs: int = 2) -> bp.History:
    x, y = blobs(40)
    return trainer.fit(x, y, epochs=epochs, batch_size=16, callbacks=callbacks, progress=False)


# What is refused when fit begins


def _callback(**methods: Any) -> Callback:
    return type("Mine", (Callback,), methods)()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("methods", "fragment"),
    [
        (
            {"on_epoch_ends": lambda *_: None},
            "fit: Mine: on_epoch_ends is no event and would never be called; did you mean on_epoch_end",
        ),
        ({"on_train_beginn": lambda *_: None}, "did you mean on_train_begin"),
        ({"on_batch_end": lambda *_: None}, "known: on_train_begin, on_epoch_begin, on_step, on_epoch_end"),
        (
            {"on_epoch_end": lambda self, trainer: None},  # noqa: ARG005
            "fit: Mine: on_epoch_end is called with (trainer, logs), but it takes (trainer)",
        ),
        (
            {"on_not_finite": lambda self: None},  # noqa: ARG005
            "fit: Mine: on_not_finite is called with (trainer, error), but it takes ()",
        ),
        ({"on_train_end": None}, "fit: Mine: on_train_end must be a function, got None"),
        (
            {"on_step": lambda self, a, b, c: None, "every_steps": 1},  # noqa: ARG005
            "but it takes (a, b, c)",
        ),
    ],
)
def test_methods_that_cannot_be_called_are_found_first(methods: dict[str, Any], fragment: str) -> None:
    trainer = trained()
    assert_refused(trainer, lambda: _fit(trainer, _callback(**methods)), TypeError, fragment)


def test_an_object_may_choose_to_have_no_steps() -> None:
    """A class with an on_step whose every_steps is an option."""

    class Optional(StepRecorder):
        def __init__(self, every_steps: int | None = None) -> None:
            super().__init__(every_steps)  # type: ignore[arg-type]

    for every, steps in ((2, [2, 4, 6]), (None, [])):
        recorder = Optional(every)
        _fit(_trainer(), recorder)
        assert recorder.steps() == steps


def test_names_and_kinds_of_arguments_are_free() -> None:
    seen: list[Any] = []
    _fit(
        _trainer(),
        _callback(
            on_epoch_begin=lambda *anything: seen.append(len(anything)),
            on_epoch_end=lambda _, a, b, c=5: seen.append(c),  # noqa: ARG005
            on_train_end=staticmethod(lambda t, logs: seen.append(logs)),  # noqa: ARG005
            on_the_side=3,
        ),
        epochs=1,
    )
    assert seen[:2] == [3, 5]
    assert len(seen) == 3


# LambdaCallback


def test_functions_are_called_as_methods_are() -> None:
    recorder, seen = StepRecorder(2), []

    def note(event: str) -> Any:
        return lambda trainer, logs: seen.append((event, trainer.epochs, trainer.steps, dict(logs)))

    _fit(
        _trainer(),
        recorder,
        LambdaCallback(
            on_train_begin=note("train begin"),
            on_epoch_begin=note("epoch begin"),
            on_step=note("step"),
            on_epoch_end=note("epoch end"),
            on_train_end=note("train end"),
            every_steps=2,
        ),
    )
    assert seen == recorder.events


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"on_epoch_end": 3}, TypeError, "LambdaCallback: on_epoch_end must be a function, got 3"),
        ({"on_epoch_end": lambda logs: logs}, TypeError, "on_epoch_end is called with (trainer, logs)"),
        ({"on_step": print}, ValueError, "on_step and every_steps must be given together"),
        ({"every_steps": 2}, ValueError, "on_step and every_steps must be given together"),
        ({"on_step": print, "every_steps": 0}, ValueError, "every_steps must be at least 1, got 0"),
        ({"on_batch_end": print}, TypeError, "on_batch_end"),
    ],
)
def test_functions_are_checked_when_given(options: Any, error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        LambdaCallback(**options)
    assert fragment in str(caught.value)


def test_a_function_without_a_signature_is_taken() -> None:
    assert _fit(_trainer(), LambdaCallback(on_epoch_end=max), epochs=0).stopped == "epochs"
