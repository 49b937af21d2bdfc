"""TensorBoard's event files, read back by its own reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, schedules
from bpcore.callbacks import Callback, LambdaCallback, TensorBoard
from tests.training.problems import bits, blobs, child_environment, network

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
X, Y = blobs(40)


def _trainer(lr: Any = 0.01, **options: Any) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(lr), metrics=["accuracy"], **options)


def _fit(trainer: bp.Trainer, *callbacks: Callback, epochs: int = 3, **options: Any) -> bp.History:
    """Three steps an epoch."""
    return trainer.fit(X, Y, epochs=epochs, batch_size=16, callbacks=callbacks, progress=False, **options)


def _read(folder: Path) -> Any:
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    found.Reload()
    return found


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of a run."""
    found = _read(folder)
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def _numbered(values: list[float], begin: int = 1) -> list[tuple[int, float]]:
    return [(begin + i, float(np.float32(value))) for i, value in enumerate(values)]


def test_epochs_are_scalars_of_two_runs(tmp_path: Path) -> None:
    trainer = _trainer(schedules.Exponential(0.1, 0.9))
    history = _fit(trainer, TensorBoard(tmp_path / "logs"), validation_data=blobs(20))
    assert sorted(each.name for each in (tmp_path / "logs").iterdir()) == ["train", "validation"]
    assert _scalars(tmp_path / "logs" / "train") == {
        "epoch_loss": _numbered(history["loss"]),
        "epoch_accuracy": _numbered(history["accuracy"]),
        "epoch_learning_rate": _numbered([0.1 * 0.9**n for n in (2, 5, 8)]),
    }
    assert _scalars(tmp_path / "logs" / "validation") == {
        "epoch_loss": _numbered(history["val_loss"]),
        "epoch_accuracy": _numbered(history["val_accuracy"]),
    }


def test_steps_are_a_run_of_their_own(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    look = LambdaCallback(
        on_step=lambda trainer, logs: seen.append((trainer.steps, logs["loss"])), every_steps=2
    )
    _fit(_trainer(), TensorBoard(tmp_path, every_steps=2), look)
    found = _scalars(tmp_path / "steps")
    assert list(found) == ["batch_loss", "batch_accuracy", "batch_learning_rate"]
    assert found["batch_loss"] == seen
    assert [step for step, _ in found["batch_learning_rate"]] == [2, 4, 6, 8]


def test_histograms_are_those_of_the_parameters(tmp_path: Path) -> None:
    trainer = _trainer()
    _fit(trainer, TensorBoard(tmp_path, histograms=True))
    found = _read(tmp_path / "train")
    assert found.Tags()["histograms"] == ["0/weight", "0/bias", "1/weight", "1/bias"]
    assert [each.step for each in found.Histograms("1/bias")] == [1, 2, 3]
    weight = trainer.parameters["0.weight"].astype(np.float64)
    last = found.Histograms("0/weight")[-1].histogram_value
    assert (last.min, last.max, last.num) == (weight.min(), weight.max(), weight.size)
    assert last.sum == pytest.approx(weight.sum())
    assert last.sum_squares == pytest.approx(np.square(weight).sum())
    below = [np.count_nonzero(weight <= limit) for limit in last.bucket_limit[:-1]]
    assert np.cumsum(last.bucket)[:-1].tolist() == below
    assert sum(last.bucket) == weight.size


def test_parameters_that_are_not_finite_do_not_end_the_run(tmp_path: Path) -> None:
    trainer, board = _trainer(), TensorBoard(tmp_path, histograms=True)
    _fit(trainer, epochs=1)
    trainer.parameters["0.weight"][0, 0] = np.inf
    trainer.parameters["1.bias"][...] = np.nan
    board.on_epoch_end(trainer, {"loss": float("nan")})
    board.on_train_end(trainer, {})
    found = _read(tmp_path / "train")
    assert found.Histograms("0/weight")[0].histogram_value.num == 31
    assert "1/bias" not in found.Tags()["histograms"]
    assert np.isnan(found.Scalars("epoch_loss")[0].value)


@pytest.mark.parametrize("low", [0.0, 1.0, -1e300])
def test_a_histogram_of_values_that_lie_too_close_for_bins(low: float, tmp_path: Path) -> None:
    trainer, board = _trainer(dtype="float64"), TensorBoard(tmp_path, histograms=True)
    _fit(trainer, epochs=1)
    trainer.parameters["1.bias"][...] = low, low, np.nextafter(low, np.inf)
    board.on_epoch_end(trainer, {"loss": 0.5})
    board.on_train_end(trainer, {})
    last = _read(tmp_path / "train").Histograms("1/bias")[0].histogram_value
    assert (last.min, last.num, sum(last.bucket)) == (low, 3, 3)


def test_arrays_are_left_out(tmp_path: Path) -> None:
    trainer, board = _trainer(), TensorBoard(tmp_path)
    _fit(trainer, epochs=1)
    values: Any = {"loss": 0.5, "confusion": np.eye(2), "val_confusion": np.eye(2), "val_loss": 0.25}
    board.on_epoch_end(trainer, values)
    board.on_train_end(trainer, {})
    assert list(_scalars(tmp_path / "train")) == ["epoch_loss", "epoch_learning_rate"]
    assert _scalars(tmp_path / "validation") == {"epoch_loss": [(1, 0.25)]}


def test_it_can_be_read_while_training_goes_on(tmp_path: Path) -> None:
    seen: list[int] = []
    look = LambdaCallback(
        on_epoch_end=lambda *_: seen.append(len(_scalars(tmp_path / "train")["epoch_loss"]))
    )
    _fit(_trainer(), TensorBoard(tmp_path), look)
    assert seen == [1, 2, 3]


def test_a_run_that_goes_on_replaces_what_comes_after(tmp_path: Path) -> None:
    """It had got to the fifth epoch, and goes on after the third."""
    whole = _trainer()
    history = _fit(whole, epochs=7)
    trainer, board = _trainer(), TensorBoard(tmp_path / "logs", every_steps=1)
    save = LambdaCallback(on_epoch_end=lambda each, _: each.epochs == 3 and each.save(tmp_path / "run"))
    _fit(trainer, board, save, epochs=5)
    late = _trainer()
    _fit(late, TensorBoard(tmp_path / "logs", every_steps=1), epochs=7, resume=tmp_path / "run")
    assert bits(late) == bits(whole)
    assert _scalars(tmp_path / "logs" / "train")["epoch_loss"] == _numbered(history["loss"])
    steps = _scalars(tmp_path / "logs" / "steps")["batch_loss"]
    assert [step for step, _ in steps] == list(range(1, 22))


def test_one_object_serves_several_runs(tmp_path: Path) -> None:
    trainer, board = _trainer(), TensorBoard(tmp_path)
    first, second = _fit(trainer, board, epochs=2), _fit(trainer, board, epochs=2)
    losses = [*first["loss"], *second["loss"]]
    assert _scalars(tmp_path / "train")["epoch_loss"] == _numbered(losses)


def test_training_has_the_same_bits_with_it(tmp_path: Path) -> None:
    alone, watched = _trainer(), _trainer()
    _fit(alone)
    _fit(watched, TensorBoard(tmp_path, every_steps=1, histograms=True))
    assert bits(alone) == bits(watched)


def test_settings_are_checked_when_made(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="TensorBoard: folder must be the name of a folder, got ''"):
        TensorBoard("")
    with pytest.raises(ValueError, match="TensorBoard: every_steps must be at least 1, got 0"):
        TensorBoard(tmp_path, every_steps=0)
    with pytest.raises(TypeError, match="TensorBoard: histograms must be True or False, got 1"):
        TensorBoard(tmp_path, histograms=1)  # type: ignore[arg-type]
    file = tmp_path / "file"
    file.touch()
    trainer = _trainer()
    with pytest.raises(FileExistsError):
        _fit(trainer, TensorBoard(file))
    assert trainer.steps == 0


SCRIPT = """
import sys
import numpy as np
import bpcore as bp
from bpcore import callbacks, nn
board = callbacks.TensorBoard(sys.argv[1], every_steps=1, histograms=True)
trainer = bp.Trainer(nn.Sequential(nn.Dense(2)), "cross_entropy")
trainer.fit(np.zeros((4, 3)), np.zeros(4, int), epochs=2, callbacks=board, progress=False)
"""


def _child(tmp_path: Path, module: str, contents: str) -> subprocess.CompletedProcess[str]:
    """A process that trains with TensorBoard where a module of this name says what it likes."""
    package = tmp_path / "path" / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(contents)
    environment = child_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "path"), environment["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "logs")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_tensorflow_is_not_imported_where_it_is_installed_and_nothing_is_printed(tmp_path: Path) -> None:
    done = _child(tmp_path, "tensorflow", "raise SystemExit('tensorflow was imported')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [step for step, _ in _scalars(tmp_path / "logs" / "train")["epoch_loss"]] == [1, 2]


def test_without_the_package_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    done = _child(tmp_path, "tensorboard", "raise ImportError('not here')")
    assert done.stderr.endswith("ImportError: TensorBoard needs its package: pip install tensorboard\n")
    assert not (tmp_path / "logs").exists()
