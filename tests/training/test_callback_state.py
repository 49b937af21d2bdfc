"""The state of callbacks: a run that goes on in a later process does what one that never stopped does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, optim
from bpcore.callbacks import Callback, EarlyStopping, LambdaCallback, TimeLimit
from bpcore.callbacks.tolerance import Tolerance
from tests.training.problems import bits, blobs, network

X, Y = blobs(40)


def _trainer() -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01))


def _fit(trainer: bp.Trainer, *given: Callback, epochs: int = 3) -> bp.History:
    """Three steps an epoch."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=given, progress=False)


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint gives it back: JSON values as such, arrays as arrays."""
    arrays = {name: value.copy() for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    return {**json.loads(json.dumps(rest, allow_nan=False)), **arrays}


class Scripted(Callback):
    """Passes the values of a script on to another callback, epoch by epoch, from one of them on."""

    def __init__(self, inner: Any, values: list[float], state: dict[str, Any] | None = None) -> None:
        self.inner, self.values, self.given = inner, values, state
        self.states: list[dict[str, Any]] = []

    def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.inner.on_train_begin(trainer, logs)
        if self.given is not None:
            self.inner.restore_state(self.given)

    def on_epoch_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.inner.on_epoch_begin(trainer, logs)

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.inner.on_epoch_end(trainer, {"loss": self.values[trainer.epochs - 1]})
        self.states.append(through_a_file(self.inner.state()))

    def on_train_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.inner.on_train_end(trainer, logs)


VALUES = [5.0, 3.0, 4.0, 4.0, 4.5, 4.0, 4.0, 4.0]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping("loss", patience=3),
        lambda: EarlyStopping("loss", patience=3, restore_best=False),
        lambda: callbacks.ReduceLROnPlateau("loss", patience=1, cooldown=1),
        lambda: Tolerance(0.5, 2),
    ],
)
def test_a_run_that_goes_on_does_what_one_that_never_stopped_does(make: Any, at: int, tmp_path: Any) -> None:
    """The second process has the trainer of epoch `at`, and each callback's state of then."""
    whole, trainer = Scripted(make(), VALUES), _trainer()
    history = _fit(trainer, whole, epochs=len(VALUES))

    first, early = Scripted(make(), VALUES), _trainer()
    save = LambdaCallback(on_epoch_end=lambda each, _: each.save(tmp_path / "run"))
    _fit(early, first, save, epochs=at)
    assert set(first.states[-1]) == set(whole.states[at - 1])
    late = bp.Trainer.load(tmp_path / "run", network(8, 3))
    second = Scripted(make(), VALUES, first.states[-1])
    rest = _fit(late, second, epochs=len(VALUES) - at)
    assert (rest.last_epoch, rest.stopped) == (history.last_epoch, history.stopped)
    assert bits(late) == bits(trainer)
    assert late.optimizer.scale == trainer.optimizer.scale
    for mine, theirs in zip(second.states, whole.states[at:], strict=True):
        assert {name: np.asarray(value).tolist() for name, value in mine.items()} == {
            name: np.asarray(value).tolist() for name, value in theirs.items()
        }


def test_a_time_limit_goes_on_with_what_was_left() -> None:
    limit, slow = TimeLimit(60), LambdaCallback(on_epoch_end=lambda *_: time.sleep(0.02))
    _fit(_trainer(), limit, slow, epochs=3)
    state = through_a_file(limit.state())
    assert 0.06 <= state["seconds"] < 30

    class GoingOn(TimeLimit):
        def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
            super().on_train_begin(trainer, logs)
            self.restore_state({"seconds": 59.9})

    trainer = _trainer()
    history = _fit(trainer, GoingOn(60), slow, epochs=10**4)
    assert history.stopped == "time"
    assert len(history) < 1000


def test_a_callback_without_state_has_none() -> None:
    assert Callback().state() == {}
    Callback().restore_state({})
