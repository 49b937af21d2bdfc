"""The state of callbacks: a run that goes on in a later process does what one that never stopped does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, optim
from bpcore.callbacks import Callback, Checkpoint, EarlyStopping, LambdaCallback, time_limit
from bpcore.callbacks.tolerance import Tolerance
from tests.training.problems import bits, blobs, network

X, Y = blobs(40)


def _trainer() -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01))


def _fit(trainer: bp.Trainer, *given: Callback, epochs: int = 3, **options: Any) -> bp.History:
    """Three steps an epoch."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=given, progress=False, **options)


class Scripted(Callback):
    """Passes the values of a script on to another callback, and all else as it comes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.states: list[str] = []

    def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.inner.on_train_begin(trainer, logs)

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.inner.on_epoch_end(trainer, {"loss": VALUES[trainer.epochs - 1]})
        self.states.append(str(self.inner.state()))

    def on_train_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:
        self.inner.on_train_end(trainer, logs)

    def state(self) -> dict[str, Any]:
        return self.inner.state()  # type: ignore[no-any-return]

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.inner.restore_state(state)


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
def test_a_run_that_goes_on_does_what_one_that_never_stopped_does(make: Any, at: int, tmp_path: Path) -> None:
    whole, trainer = Scripted(make()), _trainer()
    history = _fit(trainer, whole, epochs=len(VALUES))
    _fit(_trainer(), Scripted(make()), Checkpoint(tmp_path / "run"), epochs=at)
    second, late = Scripted(make()), _trainer()
    rest = _fit(late, second, epochs=len(VALUES), resume=tmp_path / "run")
    assert (rest.last_epoch, rest.stopped) == (history.last_epoch, history.stopped)
    assert rest["loss"] == history["loss"]
    assert bits(late) == bits(trainer)
    assert late.optimizer.scale == trainer.optimizer.scale
    assert second.states == whole.states[at:]


@pytest.mark.parametrize("at", [1, 20])
def test_tol_counts_on(at: int, tmp_path: Path) -> None:
    whole = _fit(_trainer(), epochs=500, tol=0.05)
    _fit(_trainer(), Checkpoint(tmp_path / "run"), epochs=at, tol=0.05)
    rest = _fit(_trainer(), epochs=500, tol=0.05, resume=tmp_path / "run")
    assert (rest.epochs, rest.stopped) == (whole.epochs, "tol")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the time limit takes for the time: a list of one number."""
    now = [0.0]
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize("every", [1, 3, 4])
def test_a_time_limit_goes_on_with_what_was_left(every: int, clock: list[float], tmp_path: Path) -> None:
    """Each step takes 10 s: a limit of 65 s ends after 7 of them, however many processes do them."""

    def tick(*_: Any) -> None:
        clock[0] += 10

    slow = LambdaCallback(on_step=tick, every_steps=1)
    path = tmp_path / "run"
    first = _trainer()
    kill = LambdaCallback(on_step=_fail, every_steps=5)
    with pytest.raises(ZeroDivisionError):
        _fit(first, slow, kill, Checkpoint(path, every_steps=every), epochs=9, max_seconds=65)
    clock[0] += 1000
    for seconds, steps in ((65, 7), (65, 7), (85, 9)):
        trainer = _trainer()
        history = _fit(trainer, slow, Checkpoint(path), epochs=9, max_seconds=seconds, resume=path)
        assert (trainer.steps, history.stopped) == (steps, "time")
    whole = _trainer()
    _fit(whole, epochs=3)
    assert bits(trainer) == bits(whole)


def _fail(*_: Any) -> None:
    raise ZeroDivisionError


def test_the_reason_of_a_run_that_had_ended_stays(tmp_path: Path) -> None:
    stop = LambdaCallback(on_step=lambda trainer, _: trainer.stop("mine"), every_steps=4)
    _fit(_trainer(), stop, Checkpoint(tmp_path / "run"))
    loaded = bp.Trainer.load(tmp_path / "run", network(8, 3))
    assert loaded.history.stopped == "mine"
    trainer = _trainer()
    assert _fit(trainer, epochs=9, resume=tmp_path / "run").stopped == "mine"
    assert trainer.steps == 4


def test_a_callback_without_state_has_none() -> None:
    assert Callback().state() == {}
    Callback().restore_state({})


class _Kept(Callback):
    """A callback whose state is what it was given."""

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def state(self) -> dict[str, Any]:
        kept: dict[str, Any] = self.given
        return kept

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.given = state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, r"_Kept.state must return a dict, got NoneType"),
        ([1], r"_Kept.state must return a dict, got list"),
        ({"seen": {1, 2}}, r"_Kept.state\(\)\['seen'\] must be made of dicts, .* got set"),
        ({"a": [0, b"x"]}, r"_Kept.state\(\)\['a'\]\[1\] must be made of dicts, .* got bytes"),
        ({1: 2}, r"_Kept.state\(\): the keys of a dict must be strings, .* got 1"),
        ({"a": {"__tensor__": "b"}}, r"\['a'\]: the keys of a dict must be strings, '__tensor__' is taken"),
        ({"a": np.array(["b"])}, r"\['a'\] must be an array of numbers, got one of dtype <U1"),
        ({"a": np.array(1j)}, r"\['a'\] must be an array of numbers, got one of dtype complex128"),
    ],
)
def test_a_state_that_would_not_come_back_is_refused(state: Any, message: str, tmp_path: Path) -> None:
    x, y = blobs()
    path = tmp_path / "run.safetensors"
    with pytest.raises(TypeError, match=message):
        bp.Trainer(network(3), "cross_entropy").fit(
            x, y, epochs=1, callbacks=[_Kept(state), Checkpoint(path)], progress=False
        )
    assert not path.exists()


def test_arrays_of_a_state_are_told_apart_whatever_their_keys(tmp_path: Path) -> None:
    x, y = blobs()
    path = tmp_path / "run.safetensors"
    state = {"a.b": np.ones(2), "a": {"b": np.zeros(2)}, "a_": [np.float32(0.5), None, (1, True)]}
    trainer = bp.Trainer(network(3), "cross_entropy")
    trainer.fit(x, y, epochs=1, callbacks=[_Kept(state), Checkpoint(path)], progress=False)
    found = _Kept({})
    bp.Trainer(network(3), "cross_entropy").fit(
        x, y, epochs=1, callbacks=[found], resume=path, progress=False
    )
    assert found.given["a.b"].tolist() == [1, 1]
    assert found.given["a"]["b"].tolist() == [0, 0]
    assert found.given["a_"] == [0.5, None, [1, True]]
