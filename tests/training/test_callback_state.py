"""The state of callbacks: a run that goes on in a later process does what one that never stopped does."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, optim
from bpcore.basics import files
from bpcore.callbacks import Callback, Checkpoint, EarlyStopping, LambdaCallback, time_limit
from bpcore.callbacks.tolerance import Tolerance
from tests.training.problems import bits, blobs, network
from tests.training.refusal import assert_refused

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


# Whose state it is


@pytest.mark.parametrize("patience", [9, 10])
def test_states_of_one_kind_go_to_those_that_look_at_the_same_value(patience: int, tmp_path: Path) -> None:
    """Whatever their order, and also if other settings were changed."""

    def stoppings(patience: int = 9) -> list[Callback]:
        names = "loss", "val_loss"
        made = functools.partial(EarlyStopping, patience=patience)
        return [made(name, min_delta=delta) for name in names for delta in (0.0, 9.0)]

    path, options = tmp_path / "run", {"validation_data": (X[:20], Y[:20])}
    whole, first, second = stoppings(), stoppings(), stoppings(patience)
    _fit(_trainer(), *whole, **options)
    _fit(_trainer(), *first, Checkpoint(path), epochs=2, **options)
    order = [3, 0, 1, 2] if patience == 9 else [2, 3, 0, 1]
    _fit(_trainer(), *[second[i] for i in order], resume=path, **options)
    for own, other in zip(second, whole, strict=True):
        assert (own.best, own.best_epoch) == (other.best, other.best_epoch)  # type: ignore[attr-defined]


def test_a_state_is_not_for_one_that_looks_at_another_value(tmp_path: Path) -> None:
    path, options = tmp_path / "run", {"validation_data": (X, Y)}
    _fit(_trainer(), EarlyStopping("loss", patience=9, min_delta=9), Checkpoint(path), **options)
    anew = EarlyStopping("val_loss", patience=9, min_delta=9)
    _fit(_trainer(), anew, epochs=5, resume=path, **options)
    assert anew.best_epoch == 4


def test_states_in_older_files_go_by_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "run"
    _fit(_trainer(), EarlyStopping("loss", patience=9, min_delta=9), Checkpoint(path))
    tensors, metadata = files.read(path)
    settings = json.loads(metadata["trainer"])
    settings["run"]["callbacks"] = [each[:2] for each in settings["run"]["callbacks"]]
    files.write(path, tensors, {"trainer": json.dumps(settings)})
    late = EarlyStopping("loss", patience=8, min_delta=9)
    _fit(_trainer(), late, epochs=5, resume=path)
    assert late.best_epoch == 1


class _Refuses(Callback):
    """One whose state has another form than that in the file."""

    def __init__(self, error: type[Exception], event: str = "restore_state") -> None:
        self.error = error
        self.event = event

    def state(self) -> dict[str, Any]:
        return {"old": 1}

    def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        if self.event == "on_train_begin":
            raise self.error("new")

    def restore_state(self, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        raise self.error("new")


@pytest.mark.parametrize(
    ("error", "event", "raised", "message"),
    [
        (
            KeyError,
            "restore_state",
            ValueError,
            "run: _Refuses can't go on from its state there: KeyError: 'new'",
        ),
        (ValueError, "restore_state", ValueError, "run: _Refuses can't go on from its state there: new"),
        (OSError, "restore_state", OSError, "new"),
        (ValueError, "on_train_begin", ValueError, "new"),
    ],
)
@pytest.mark.parametrize(
    "optimizer", [lambda: optim.Adam(0.01), lambda: optim.SGD(0.1), lambda: optim.LBFGS(0.5)]
)
def test_a_state_that_can_not_be_taken_over_changes_nothing(
    optimizer: Any, error: Any, event: str, raised: Any, message: str, tmp_path: Path
) -> None:
    def trainer() -> bp.Trainer:
        return bp.Trainer(network(8, 3), "cross_entropy", optimizer())

    path, size = tmp_path / "run", {"batch_size": 40, "progress": False}
    halved = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, threshold=9, threshold_mode="abs")
    trainer().fit(X, Y, epochs=3, callbacks=[_Refuses(KeyError), halved, Checkpoint(path)], **size)
    late = trainer()
    late.fit(X, Y, epochs=1, **size)
    late.stop_training = True
    before = late.optimizer.scale, late.skipped, late.history.stopped
    refused = [_Refuses(error, event)]
    assert_refused(
        late, lambda: late.fit(X, Y, epochs=4, callbacks=refused, resume=path, **size), raised, message
    )
    assert (late.optimizer.scale, late.skipped, late.history.stopped) == before
    late.fit(X, Y, epochs=1, **size)
    twin = trainer()
    for _ in range(2):
        twin.fit(X, Y, epochs=1, **size)
    assert bits(late) == bits(twin)
