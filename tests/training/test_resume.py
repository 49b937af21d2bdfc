"""A run that was killed and is resumed ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.basics import files
from bpcore.callbacks import Callback, Checkpoint, EarlyStopping
from tests.training.problems import bits, blobs, child_environment, network
from tests.training.resume_child import KINDS, run


class Stop(Exception):
    """What ends a run in these tests."""


class StopAt(Callback):
    """Ends the run by an exception after so many steps, as if nothing more had happened."""

    every_steps = 1

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
        if trainer.steps == self.step:
            raise Stop


def everything(trainer: bp.Trainer) -> dict[str, Any]:
    """All that a run changes, but for times."""
    history = {name: np.array(trainer.history[name]).tolist() for name in trainer.history}
    parameters, states = trainer.snapshot()
    arrays = {"parameters": parameters, "states": states, **trainer.optimizer_state}
    return {
        **{name: value.tobytes() for name, value in arrays.items()},
        "history": history,
        "epochs": trainer.history.epochs,
        "steps": trainer.steps,
        "skipped": trainer.skipped,
        "scale": trainer.optimizer.scale,
    }


def _dense(**options: Any) -> bp.Trainer:
    model = nn.Sequential(nn.Dense(8, "relu"), nn.BatchNorm(), nn.Dropout(0.4), nn.Dense(3))
    return bp.Trainer(
        model, "cross_entropy", **{"optimizer": optim.Adam(0.02), "metrics": ["accuracy"], **options}
    )


def _objective() -> bp.Trainer:
    def loss(model: nn.Module, x: Any) -> Any:
        return ops.mean((model(x) - x) ** 2)

    return bp.Trainer(nn.Sequential(nn.Dense(3, "tanh"), nn.Dense(4)), objective=loss)


class _Two(nn.Module):
    def __init__(self) -> None:
        self.kind, self.size = nn.Dense(3), nn.Dense(1)

    def __call__(self, x: Any) -> Any:
        return {"kind": self.kind(x), "size": self.size(x)}


def _two() -> bp.Trainer:
    loss = {"kind": "cross_entropy", "size": "mse"}
    return bp.Trainer(_Two(), loss, loss_weights={"size": 0.1}, metrics={"kind": "accuracy"})


SETUPS: dict[str, tuple[Callable[[], bp.Trainer], dict[str, Any]]] = {
    "plain": (_dense, {}),
    "last batch smaller": (_dense, {"batch_size": 11}),
    "in order": (_dense, {"shuffle": False}),
    "validation": (_dense, {"validation_split": 0.25}),
    "stratified weights": (_dense, {"sample_weight": np.linspace(0.5, 2, 96)}),
    "sums and rows": (
        lambda: _dense(metrics=["roc_auc", "confusion_matrix"]),
        {"validation_split": 0.25, "stratify": True},
    ),
    "stratified split": (
        _dense,
        {"validation_split": 0.25, "stratify": True, "class_weight": {0: 3.0}},
    ),
    "several outputs": (
        _two,
        {"y": {"kind": blobs()[1], "size": blobs()[0][:, 0]}, "validation_split": 0.25},
    ),
    "accumulated": (_dense, {"accumulate": 3}),
    "averaged and clipped": (lambda: _dense(ema=0.9, clip_norm=0.1), {}),
    "momentum": (lambda: _dense(optimizer=optim.SGD(0.1, momentum=0.9)), {}),
    "float64": (lambda: _dense(dtype="float64"), {}),
    "lbfgs": (
        lambda: bp.Trainer(network(6, 3), "cross_entropy", optim.LBFGS(0.5)),
        {"batch_size": 96},
    ),
    "objective": (_objective, {"y": None}),
}


def _fit(trainer: bp.Trainer, callbacks: list[Callback], options: dict[str, Any]) -> None:
    x, y = blobs()
    settings = {"y": y, "batch_size": 12, "epochs": 3, "progress": False, **options}
    trainer.fit(x, callbacks=callbacks, **settings)


@pytest.mark.parametrize("every", [1, 3, 4])
@pytest.mark.parametrize("setup", SETUPS)
def test_a_resumed_run_ends_with_the_same_bits(setup: str, every: int, tmp_path: Path) -> None:
    make, options = SETUPS[setup]
    whole = make()
    _fit(whole, [], options)
    total = whole.steps
    for step in {1, total // 3, 2 * total // 3, total - 1, total} - {0}:
        path = tmp_path / f"{step}.safetensors"
        with pytest.raises(Stop):
            _fit(make(), [Killed(path, every), StopAt(step)], options)
        resumed = make()
        _fit(resumed, [Checkpoint(path, every_steps=every)], {**options, "resume": path})
        assert everything(resumed) == everything(whole), (setup, step)


class Killed(Checkpoint):
    """A checkpoint of a process that is killed: it writes nothing at the end."""

    def __init__(self, path: Path, every_steps: int) -> None:
        super().__init__(path, every_steps=every_steps)

    def on_run_over(self, trainer: bp.Trainer, error: BaseException | None) -> None:
        """Not reached."""


class Fails(Callback):
    """Ends a run that is resumed on its way to the place where it goes on."""

    def __init__(self, event: str) -> None:
        self.event = event

    def state(self) -> dict[str, Any]:
        return {"event": self.event}

    def restore_state(self, state: Any) -> None:  # noqa: ARG002 - the protocol
        if self.event == "restore_state":
            raise Stop

    def on_epoch_begin(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
        if self.event == "on_epoch_begin":
            raise Stop


@pytest.mark.parametrize("event", ["restore_state", "on_epoch_begin"])
@pytest.mark.parametrize("step", [11, 16])
def test_a_run_that_never_got_to_where_it_goes_on_leaves_the_place_in_the_file(
    event: str, step: int, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    whole = _dense()
    _fit(whole, [], {})
    every = {"every_steps": 1} if step == 11 else {"every_epochs": 1}
    with pytest.raises(Stop):
        _fit(_dense(), [Fails(""), Checkpoint(path, **every), StopAt(step)], {})  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Stop):
            _fit(_dense(), [Fails(event), Checkpoint(path)], {"resume": path})
    resumed = _dense()
    _fit(resumed, [Checkpoint(path)], {"resume": path})
    assert everything(resumed) == everything(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_leaves_a_file_of_that_very_step(kind: str, tmp_path: Path) -> None:
    whole = run(_folder(tmp_path / "whole"), kind, every_steps=1000)
    broken = _folder(tmp_path / "broken")
    trainer, settings = KINDS[kind]()
    path = broken / "run.safetensors"
    settings["callbacks"] += [Checkpoint(path), StopAt(123)]
    with pytest.raises(Stop):
        trainer.fit(**settings, progress=False)
    assert bp.Trainer.load(path, KINDS[kind]()[0].model).steps == 123
    assert everything(run(broken, kind)) == everything(whole)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("dense", 6),
        ("lstm", 4),
        pytest.param("dense", 50, marks=pytest.mark.slow),
        pytest.param("lstm", 50, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments(kind: str, kills: int, tmp_path: Path) -> None:
    """The file is written after each step, so that many of the moments lie within a write."""
    whole, killed = _folder(tmp_path / "whole"), _folder(tmp_path / "killed")
    run(whole, kind, every_steps=1000)
    command = [sys.executable, str(Path(__file__).with_name("resume_child.py")), str(killed), kind]
    environment = child_environment(OMP_NUM_THREADS="1")
    moments, done = random.Random(kills), 0
    for _ in range(20 * kills):
        if done == kills or (killed / "result.safetensors").exists():
            break
        child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        _wait_for_a_step(child, killed / "run.safetensors")
        time.sleep(moments.uniform(0, 0.012))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            done += 1
        _, errors = child.communicate(timeout=60)
        assert child.returncode in (0, -signal.SIGKILL), errors.decode()
    assert done == kills, "the run must be long enough"
    if not (killed / "result.safetensors").exists():
        subprocess.run(command, env=environment, check=True, timeout=120)
    results = [(folder / "result.safetensors").read_bytes() for folder in (whole, killed)]
    assert results[0] == results[1]
    left = {name for name in os.listdir(killed) if name.startswith("run.") and name.endswith(".tmp")}
    assert not left, "what was half written is removed by the next run"


def _wait_for_a_step(child: subprocess.Popen[bytes], path: Path) -> None:
    before = path.stat().st_mtime_ns if path.exists() else None
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        if path.exists() and path.stat().st_mtime_ns != before:
            return
        time.sleep(0.002)


def test_a_missing_file_starts_afresh_and_epochs_is_the_total(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    x, y = blobs()
    trainer = _dense()
    trainer.fit(x, y, epochs=2, resume=path, callbacks=[Checkpoint(path)], progress=False)
    assert trainer.epochs == 2
    trainer.fit(x, y, epochs=2, resume=path, progress=False)
    assert trainer.epochs == 2
    longer = _dense()
    longer.fit(x, y, epochs=5, resume=path, progress=False)
    assert longer.epochs == 5
    assert longer.history.epochs == [1, 2, 3, 4, 5]
    whole = _dense()
    whole.fit(x, y, epochs=5, progress=False)
    assert everything(longer) == everything(whole)


def test_a_run_that_early_stopping_ended_stays_ended(tmp_path: Path) -> None:
    x, y = blobs()
    path = tmp_path / "run.safetensors"

    def fit(epochs: int) -> tuple[bp.Trainer, EarlyStopping]:
        trainer, stopping = _dense(), EarlyStopping(patience=2, min_delta=10)
        listeners = [Checkpoint(path), stopping]
        trainer.fit(
            x, y, epochs=epochs, validation_split=0.2, callbacks=listeners, resume=path, progress=False
        )
        return trainer, stopping

    first, stopping = fit(50)
    assert first.epochs == 3
    assert stopping.best_epoch == 1
    again, stopping = fit(60)
    assert everything(again) == everything(first)
    assert stopping.best_epoch == 1
    assert (
        again.history.stopped
        == first.history.stopped
        == "early_stopping: val_loss has not improved since epoch 1"
    )


def test_a_run_that_its_tolerance_ended_stays_ended_and_one_that_its_time_ended_does_not(
    tmp_path: Path,
) -> None:
    x, y = blobs()

    def fit(name: str, **options: Any) -> bp.Trainer:
        trainer, path = _dense(), tmp_path / name
        trainer.fit(x, y, epochs=20, callbacks=[Checkpoint(path)], resume=path, progress=False, **options)
        return trainer

    first, again = fit("tol", tol=10), fit("tol", tol=10)
    assert first.history.stopped == again.history.stopped == "tol"
    assert everything(again) == everything(first)
    assert first.epochs < 20
    cut = fit("time", max_seconds=1e-6)
    assert cut.history.stopped == "time"
    whole, resumed = fit("whole"), fit("time")
    assert everything(resumed) == everything(whole)
    assert resumed.history.stopped == "epochs"


def test_newer_files_push_older_ones_on(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    x, y = blobs()
    _dense().fit(x, y, epochs=5, callbacks=[Checkpoint(path, keep=3)], progress=False)
    assert sorted(os.listdir(tmp_path)) == ["run.safetensors", "run.safetensors.1", "run.safetensors.2"]
    epochs = [
        bp.Trainer.load(tmp_path / name, _dense().model).epochs for name in sorted(os.listdir(tmp_path))
    ]
    assert epochs == [5, 4, 3]


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    class Rates(Callback):
        """Makes the third epoch the worst."""

        every_steps = 1

        def on_step(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
            if trainer.epochs == 2:
                trainer.parameters["1.bias"][...] = [-50, 0, 50]

    path = tmp_path / "best.safetensors"
    x, y = blobs()
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.SGD(0.01))
    listeners = [Checkpoint(path, monitor="val_loss"), Rates()]
    history = trainer.fit(x, y, epochs=3, validation_split=0.2, callbacks=listeners, progress=False)
    best = int(np.argmin(history["val_loss"])) + 1
    assert best < 3
    loaded = bp.Trainer.load(path, network(8, 3))
    assert loaded.epochs == best
    assert loaded.history["val_loss"] == history["val_loss"][:best]


def test_the_best_of_every_second_epoch_is_kept(tmp_path: Path) -> None:
    """Whatever lies between them: the third epoch of these is the best, but its file would not be written."""

    class Losses(Callback):
        def __init__(self, inner: Checkpoint) -> None:
            self.inner = inner

        def on_train_begin(self, trainer: bp.Trainer, logs: Any) -> None:
            self.inner.on_train_begin(trainer, logs)

        def on_epoch_end(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
            self.inner.on_epoch_end(trainer, {"loss": [9.0, 5.0, 1.0, 3.0, 4.0, 4.0][trainer.epochs - 1]})

    path = tmp_path / "best.safetensors"
    _fit(_dense(), [Losses(Checkpoint(path, every_epochs=2, monitor="loss"))], {"epochs": 6})
    assert bp.Trainer.load(path, _dense().model).epochs == 4


def test_a_rate_that_a_callback_set_is_set_again(tmp_path: Path) -> None:
    class Halved(Callback):
        def on_epoch_end(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
            trainer.optimizer.lr = trainer.optimizer.lr / 2  # type: ignore[operator]

    path = tmp_path / "run.safetensors"
    whole = _dense()
    _fit(whole, [Halved()], {"epochs": 4})
    with pytest.raises(Stop):
        _fit(_dense(), [Halved(), Checkpoint(path, every_steps=1), StopAt(20)], {"epochs": 4})
    resumed = _dense()
    _fit(resumed, [Halved()], {"epochs": 4, "resume": path})
    assert everything(resumed) == everything(whole)
    other = _dense(optimizer=optim.Adam(0.5))  # the script was changed: its rate counts
    _fit(other, [], {"epochs": 4, "resume": path})
    assert other.optimizer.lr == 0.5


# What can't be


def _written(tmp_path: Path, **options: Any) -> Path:
    """A file in the middle of the second epoch."""
    path = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        _fit(_dense(), [Checkpoint(path), StopAt(11)], options)
    return path


@pytest.mark.parametrize(
    ("trainer", "options", "message"),
    [
        (lambda: _dense(seed=1), {}, "is of a run with seed=0, this trainer has seed=1"),
        (lambda: _dense(dtype="float64"), {}, "dtype='float32', this trainer has dtype='float64'"),
        (lambda: _dense(optimizer=optim.SGD(0.1)), {}, "optimizer='adam', this trainer has optimizer='sgd'"),
        (
            _dense,
            {"batch_size": 10},
            "in the middle of an epoch with batch_size=12, this run has batch_size=10",
        ),
        (_dense, {"shuffle": False}, "with shuffle=True, this run has shuffle=False"),
        (_dense, {"accumulate": 2}, "with accumulate=1, this run has accumulate=2"),
        (_dense, {"validation_split": 0.25}, "has the values loss, accuracy, this run would have"),
        (lambda: _dense(metrics=[]), {}, "give the same metrics and validation, or another path"),
        (lambda: bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.02)), {}, "does not fit this model"),
    ],
)
def test_a_file_of_another_run_changes_nothing(
    trainer: Callable[[], bp.Trainer], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = _written(tmp_path)
    made = trainer()
    made.model.build((12, 4))
    before = bits(made)
    with pytest.raises(ValueError, match=message):
        _fit(made, [], {**options, "resume": path})
    assert bits(made) == before
    assert (made.steps, made.epochs) == (0, 0)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _edit(path: Path, **changes: Any) -> None:
    tensors, metadata = files.read(path)
    settings = json.loads(metadata["trainer"])
    settings.update(changes)
    files.write(path, tensors, {"trainer": json.dumps(settings)})


def _edit_run(path: Path, changes: dict[str, Any]) -> None:
    _, metadata = files.read(path)
    _edit(path, run={**json.loads(metadata["trainer"])["run"], **changes})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "is not a complete safetensors file"),
        (lambda path: _edit(path, run=None), "holds a trainer outside of a run"),
        (lambda path: _edit(path, run={"position": -1}), "the state of its run is damaged"),
        (lambda path: _edit_run(path, {"position": 99}), "an epoch of other steps or other sums of metrics"),
        (lambda path: _edit_run(path, {"totals": [1.0]}), "an epoch of other steps or other sums of metrics"),
        (lambda path: _edit_run(path, {"skipped": 9}), "the state of its run is damaged"),
        (lambda path: _edit_run(path, {"seconds": "1 s"}), "the state of its run is damaged"),
        (lambda path: _edit_run(path, {"stopped": 3}), "the state of its run is damaged"),
        (lambda path: _edit(path, run={"settings": {}, "names": 3}), "the state of its run is damaged"),
        (lambda path: _edit(path, history={}), "its history is damaged"),
        (lambda path: _edit(path, epochs=7), "its history is damaged: it ends with epoch 1 of 7"),
        (lambda path: path.write_bytes(b""), "is not a complete safetensors file"),
    ],
)
def test_a_damaged_file_changes_nothing(damage: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    path = _written(tmp_path)
    damage(path)
    trainer = _dense()
    trainer.model.build((12, 4))
    before = bits(trainer)
    with pytest.raises(ValueError, match=message):
        _fit(trainer, [], {"resume": path})
    assert bits(trainer) == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda: Checkpoint(3), TypeError, "path must be the name of a file"),  # type: ignore[arg-type]
        (lambda: Checkpoint(""), TypeError, "path must be the name of a file"),
        (lambda: Checkpoint("x", every_steps=0), ValueError, "every_steps must be at least 1"),
        (lambda: Checkpoint("x", every_epochs=-1), ValueError, "every_epochs must be at least 1"),
        (lambda: Checkpoint("x", keep=0), ValueError, "keep must be at least 1"),
        (lambda: Checkpoint("x", every_steps=1, every_epochs=1), ValueError, "doesn't go with every_epochs"),
        (lambda: Checkpoint("x", every_steps=1, monitor="loss"), ValueError, "doesn't go with monitor"),
    ],
)
def test_bad_arguments(arguments: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        arguments()


def test_a_folder_that_is_not_there_is_found_before_training(tmp_path: Path) -> None:
    trainer = _dense()
    with pytest.raises(FileNotFoundError, match="Checkpoint: there is no folder .*; make it first"):
        _fit(trainer, [Checkpoint(tmp_path / "no" / "run.safetensors")], {})
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        _fit(trainer, [Checkpoint(tmp_path)], {})
    assert trainer.steps == 0


def test_a_run_that_never_began_writes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    for _ in range(2):
        with pytest.raises(ValueError, match="there is no 'val_loss' to look at"):
            _fit(_dense(), [Checkpoint(path), EarlyStopping()], {})
    assert not os.listdir(tmp_path)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.safetensors"
    written = files.write

    def full_from_the_second_epoch_on(target: Any, tensors: Any, metadata: Any) -> None:
        if json.loads(metadata["trainer"])["epochs"] >= 2:
            raise OSError(28, "No space left on device")
        written(target, tensors, metadata)

    monkeypatch.setattr(files, "write", full_from_the_second_epoch_on)
    trainer = _dense()
    with (
        pytest.warns(RuntimeWarning) as warned,
        pytest.raises(OSError, match="Nothing that was learned is lost"),
    ):
        _fit(trainer, [Checkpoint(path)], {})
    assert [str(each.message).partition("written ")[2].partition(".")[0] for each in warned] == [
        f"at step {step}: No space left on device" for step in (16, 24, 24)
    ]
    assert trainer.epochs == 3
    monkeypatch.undo()
    assert bp.Trainer.load(path, _dense().model).epochs == 1
    whole = _dense()
    _fit(whole, [], {})
    assert everything(trainer) == everything(whole)
    resumed = _dense()
    _fit(resumed, [], {"resume": path})
    assert everything(resumed) == everything(whole)


def test_a_loss_that_is_not_finite_leaves_the_last_good_file(tmp_path: Path) -> None:
    class Poison(Callback):
        every_steps = 1

        def on_step(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
            if trainer.steps == 13:
                trainer.parameters["0.weight"][...] = np.nan

    path = tmp_path / "run.safetensors"
    with pytest.raises(FloatingPointError, match="at step 13"):
        _fit(_dense(), [Poison(), Checkpoint(path, every_epochs=1)], {})
    loaded = bp.Trainer.load(path, _dense().model)
    assert loaded.epochs == 1
    assert all(np.isfinite(value).all() for value in loaded.parameters.values())


def test_ctrl_c_writes_the_step_it_came_at(tmp_path: Path) -> None:
    class Interrupt(Callback):
        every_steps = 1

        def on_step(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002 - the protocol
            if trainer.steps == 10:
                raise KeyboardInterrupt

    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        _fit(_dense(), [Interrupt(), Checkpoint(path)], {})
    whole, resumed = _dense(), _dense()
    _fit(whole, [], {})
    _fit(resumed, [], {"resume": path})
    assert everything(resumed) == everything(whole)
