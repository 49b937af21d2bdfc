"""Files: a loaded trainer goes on bit for bit, and a damaged or foreign file changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from bpcore.basics import files
from tests.training.problems import bits, blobs, network

OPTIMIZERS = {
    "sgd": lambda: optim.SGD(0.05, weight_decay=1e-3),
    "momentum": lambda: optim.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optim.Adam(0.01, betas=(0.8, 0.99), eps=1e-7),
}


def _trainer(optimizer: Any = None, dtype: str = "float32", **options: Any) -> bp.Trainer:
    return bp.Trainer(
        network(8, 3),
        "cross_entropy",
        optimizer or optim.Adam(0.01),
        metrics=["accuracy"],
        dtype=dtype,
        **options,
    )


def _fit(trainer: bp.Trainer, epochs: int = 2) -> bp.History:
    return trainer.fit(*blobs(), epochs=epochs, batch_size=20, progress=False)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainer = _trainer()
    _fit(trainer)
    trainer.save(tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_loaded_trainer_goes_on_bit_for_bit(optimizer: str, dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole = _trainer(OPTIMIZERS[optimizer](), dtype, seed=3)
    _fit(whole, 2)
    whole.save(path)
    history = _fit(whole, 3)

    loaded = bp.Trainer.load(path, network(8, 3))
    assert (loaded.epochs, loaded.steps, loaded.seed, loaded.dtype) == (2, 10, 3, dtype)
    assert loaded.optimizer.config() == whole.optimizer.config()
    again = _fit(loaded, 3)
    assert bits(loaded) == bits(whole)
    assert {name: again[name] for name in again} == {name: history[name] for name in history}
    assert again.epochs == [3, 4, 5]


def test_saving_changes_nothing_and_the_same_trainer_gives_the_same_file(tmp_path: Path) -> None:
    trainer = _trainer()
    _fit(trainer)
    before = bits(trainer)
    for name in ("one", "two"):
        trainer.save(tmp_path / name)
    assert bits(trainer) == before
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["one", "two"], "no temporary file is left"


def test_the_file_is_plain_safetensors_with_the_weights_by_name(saved: Path) -> None:
    from safetensors.numpy import load_file

    trainer = bp.Trainer.load(saved, network(8, 3))
    tensors = load_file(saved)
    assert sorted(name for name in tensors if not name.startswith("optimizer.")) == sorted(trainer.parameters)
    for name, value in trainer.parameters.items():
        np.testing.assert_array_equal(tensors[name], value)
    assert {name.split(".")[1] for name in tensors if name.startswith("optimizer.")} == {
        "exp_avg",
        "exp_avg_sq",
    }


def test_states_are_saved_too(tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(3, in_features=4)
            self.batches = nn.State(())

        def __call__(self, x: Any) -> Any:
            self.batches.update(self.batches + 1)
            return self.dense(x)

    trainer = bp.Trainer(Counting(), "cross_entropy")
    _fit(trainer)
    trainer.save(tmp_path / "run")
    model = Counting()
    bp.Trainer.load(tmp_path / "run", model)
    assert float(model.batches) == float(trainer.model.batches) == 10  # type: ignore[attr-defined]


def test_a_trainer_that_never_trained_can_be_saved_once_it_exists(tmp_path: Path) -> None:
    trainer = bp.Trainer(network(8, 3, in_features=4), "cross_entropy")
    trainer.save(tmp_path / "run")
    assert bits(bp.Trainer.load(tmp_path / "run", network(8, 3))) == bits(trainer)
    with pytest.raises(RuntimeError, match="not known yet"):
        _trainer().save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_weights_of_a_trainers_file_load_into_a_model(saved: Path) -> None:
    model = network(8, 3)
    model.load_weights(saved)
    assert bits(model) == bits(bp.Trainer.load(saved, network(8, 3)))
    model.save_weights(saved)
    with pytest.raises(ValueError, match="holds weights but no trainer; use model.load_weights"):
        bp.Trainer.load(saved, network(8, 3))


# Damage


@pytest.mark.parametrize("part", [0.0, 1e-3, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_an_error_that_changes_nothing(saved: Path, part: float) -> None:
    contents = saved.read_bytes()
    saved.write_bytes(contents[: int(part * len(contents))])
    model = network(8, 3, in_features=4)
    before = bits(model)
    for load in (lambda: bp.Trainer.load(saved, model), lambda: model.load_weights(saved)):
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            load()
    assert bits(model) == before


@pytest.mark.parametrize("contents", [b"", b"\x00" * 100, b"\xff" * 100, b"PK\x03\x04 not ours", b"{}" * 50])
def test_a_file_of_another_format_is_an_error(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "something"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="something"):
        bp.Trainer.load(path, network(8, 3))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bp.Trainer.load(tmp_path / "none", network(8, 3))


# Other models


@pytest.mark.parametrize(
    ("model", "fragment"),
    [
        (lambda: network(9, 3, in_features=4), "of another shape: 0.weight"),
        (lambda: network(9, 3), "of another shape: 0.weight"),
        (lambda: network(8, 3, in_features=5), "of another shape: 0.weight"),
        (lambda: network(8, 8, 3), "missing: 2.weight, 2.bias"),
        (lambda: network(3, in_features=4), "unexpected: 1.bias, 1.weight"),
        (
            lambda: nn.Sequential(nn.ReLU(), *network(8, 3).layers),
            "missing: 2.weight, 2.bias; unexpected: 0.bias, 0.weight",
        ),
        (lambda: nn.Sequential(nn.Dense(8, use_bias=False), nn.Dense(3)), "unexpected: 0.bias"),
    ],
)
def test_a_file_of_another_model_names_the_tensors_and_changes_nothing(
    saved: Path, model: Callable[[], nn.Module], fragment: str
) -> None:
    other = model()
    known = all(variable.known for _, variable in other.named_variables())
    before = bits(other) if known else None
    for load in (lambda: bp.Trainer.load(saved, other), lambda: other.load_weights(saved)):
        with pytest.raises(ValueError, match="does not fit this model") as caught:
            load()
        assert fragment in str(caught.value)
    if known:
        assert bits(other) == before


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda tensors: tensors.pop("1.bias"), "1.bias"),
        (lambda tensors: tensors.update(extra=np.zeros(3, np.float32)), "extra"),
        (lambda tensors: tensors.update({"0.bias": np.zeros(9, np.float32)}), "0.bias"),
        (lambda tensors: tensors.update({"0.bias": np.zeros(8, np.int64)}), "0.bias"),
        (lambda tensors: tensors.pop("optimizer.exp_avg.0.weight"), "optimizer.exp_avg.0.weight"),
        (
            lambda tensors: tensors.update({"optimizer.exp_avg.0.bias": np.zeros(9, np.float32)}),
            "optimizer.exp_avg.0.bias",
        ),
        (
            lambda tensors: tensors.update({"optimizer.third.0.bias": np.zeros(8, np.float32)}),
            "optimizer.third.0.bias",
        ),
    ],
)
def test_missing_extra_and_misshapen_tensors_are_named(
    saved: Path, change: Callable[[dict[str, np.ndarray]], None], fragment: str
) -> None:
    tensors, metadata = files.read(saved)
    change(tensors)
    files.write(saved, tensors, metadata)
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match="run.safetensors") as caught:
        bp.Trainer.load(saved, model)
    assert fragment in str(caught.value)
    assert bits(model) == before


@pytest.mark.parametrize("settings", ["", "{", "[]", "null", "{}", '{"format_version": 1}'])
def test_damaged_settings_are_an_error_that_changes_nothing(saved: Path, settings: str) -> None:
    tensors, metadata = files.read(saved)
    files.write(saved, tensors, {**metadata, "trainer": settings})
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match="run.safetensors"):
        bp.Trainer.load(saved, model)
    assert bits(model) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", -1), ("steps", "x"), ("epochs", None), ("seed", -1), ("dtype", "int8"), ("metrics", ["zzz"]),
     ("loss", "zzz"), ("optimizer", {}), ("optimizer", {"name": "adam", "lr": -1.0})],
)  # fmt: skip
def test_settings_that_make_no_sense_change_nothing(saved: Path, name: str, value: Any) -> None:
    tensors, metadata = files.read(saved)
    settings = {**json.loads(metadata["trainer"]), name: value}
    files.write(saved, tensors, {**metadata, "trainer": json.dumps(settings)})
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError):  # noqa: PT011 - of the file, or of what was made with it
        bp.Trainer.load(saved, model)
    assert bits(model) == before


def test_a_file_of_a_newer_version_says_so(saved: Path) -> None:
    tensors, metadata = files.read(saved)
    settings = {**json.loads(metadata["trainer"]), "format_version": 99}
    files.write(saved, tensors, {**metadata, "trainer": json.dumps(settings)})
    with pytest.raises(ValueError, match="written by a newer bpcore"):
        bp.Trainer.load(saved, network(8, 3))


def test_a_float64_file_does_not_fit_a_float32_model(tmp_path: Path) -> None:
    trainer = _trainer(dtype="float64")
    _fit(trainer)
    trainer.save(tmp_path / "run")
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match="dtype"):
        model.load_weights(tmp_path / "run")
    assert bits(model) == before


# What has to be given again


def own_loss(prediction: Any, target: Any) -> Any:
    return losses.cross_entropy(prediction, target, reduction="none") + 0.0 * ops.sum(prediction, axis=-1)


def own_metric(prediction: Any, target: Any) -> Any:
    return ops.equal(ops.argmax(prediction), target)


@pytest.mark.parametrize(
    ("made_with", "missing"),
    [
        ({"loss": own_loss}, "loss"),
        ({"objective": lambda model, x, y: losses.cross_entropy(model(x), y)}, "objective"),
        ({"loss": "cross_entropy", "metrics": [own_metric, "accuracy"]}, "metrics"),
        (
            {"loss": "cross_entropy", "optimizer": optim.SGD(lambda step: 0.1 / (1 + step), momentum=0.9)},
            "optimizer",
        ),
    ],
)
def test_functions_are_not_in_the_file_and_must_be_given_again(
    tmp_path: Path, made_with: dict[str, Any], missing: str
) -> None:
    data: Any = (blobs(),) if "objective" in made_with else blobs()
    whole = bp.Trainer(network(8, 3), **made_with)
    whole.fit(*data, epochs=1, progress=False)
    whole.save(tmp_path / "run")
    whole.fit(*data, epochs=1, progress=False)

    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match=missing):
        bp.Trainer.load(tmp_path / "run", model)
    assert bits(model) == before
    loaded = bp.Trainer.load(tmp_path / "run", model, **{missing: made_with[missing]})
    loaded.fit(*data, epochs=1, progress=False)
    assert bits(loaded) == bits(whole)
    assert loaded.history["loss"] == whole.history["loss"]


def test_another_optimizer_starts_afresh_from_the_saved_weights(saved: Path) -> None:
    loaded = bp.Trainer.load(saved, network(8, 3), optimizer=optim.SGD(0.1, momentum=0.9))
    assert loaded.steps == 0
    assert not any(value.any() for value in loaded.optimizer_state.values())
    assert bits(loaded) == bits(bp.Trainer.load(saved, network(8, 3)))


# Writing


def test_a_failed_save_leaves_the_old_file_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = saved.read_bytes()
    trainer = bp.Trainer.load(saved, network(8, 3))
    _fit(trainer)

    def full(handle: int) -> None:  # noqa: ARG001
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == old
    assert os.listdir(saved.parent) == [saved.name], "no temporary file is left"
    trainer.save(saved)
    assert saved.read_bytes() != old


def test_a_path_that_can_hold_no_file_is_an_error(tmp_path: Path) -> None:
    trainer = bp.Trainer(network(3, in_features=4), "cross_entropy")
    with pytest.raises(FileNotFoundError, match="there is no folder .*none; make it first"):
        trainer.save(tmp_path / "none" / "run")
    for call in (
        lambda: trainer.save(tmp_path),
        lambda: trainer.save(""),
        lambda: trainer.model.save_weights(tmp_path),
        lambda: bp.Trainer.load(tmp_path, trainer.model),
        lambda: trainer.model.load_weights(tmp_path),
    ):
        with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
            call()
    long = tmp_path / ("a" * 250)  # longer with what the unfinished file is called
    with pytest.raises(OSError, match=r"a{250} can't be written: File name too long$"):
        trainer.save(long)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("model", [nn.Sequential, None])
def test_a_file_is_loaded_into_a_model(saved: Path, model: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^Trainer\.load: model must be a nn\.Module, got (the class Seq|None)"
    ):
        bp.Trainer.load(saved, model)


def test_a_path_that_is_no_ordinary_file_stays_what_it_is(tmp_path: Path) -> None:
    path, trainer = tmp_path / "pipe", bp.Trainer(network(3, in_features=4), "cross_entropy")
    os.mkfifo(path)
    for call in (trainer.save, trainer.model.save_weights):
        with pytest.raises(FileExistsError, match="is a device, a pipe or a socket"):
            call(path)
    assert path.is_fifo()


def test_a_saved_file_has_ordinary_permissions(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.write_text("")
    assert saved.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("in_features", [4, None])
def test_a_float64_file_is_not_loaded_as_float32(tmp_path: Path, in_features: int | None) -> None:
    trainer = _trainer(dtype="float64")
    _fit(trainer)
    trainer.save(tmp_path / "run")
    model = network(8, 3, in_features=in_features)
    with pytest.raises(ValueError, match="holds float64 values"):
        bp.Trainer.load(tmp_path / "run", model, dtype="float32")
    assert all(variable.storage is None for _, variable in model.named_variables())
    assert bits(bp.Trainer.load(tmp_path / "run", model)) == bits(trainer)


def test_another_model_of_the_same_shapes_is_noticed(saved: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"it had .*activation=tanh.*, this one has .*activation=relu"):
        bp.Trainer.load(saved, network(8, 3, activation="relu"))
