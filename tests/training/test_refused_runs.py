"""A run that is refused leaves no trace: the last history and health stay, and a first one builds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, Checkpoint, EarlyStopping, GradientHealth, LearningRateFinder
from tests.training.problems import network
from tests.training.refusal import X, Y, assert_refused, trained


class Breaks(Callback):
    def on_train_begin(self, trainer: bp.Trainer, logs: Mapping[str, Any]) -> None:  # noqa: ARG002
        raise ZeroDivisionError


@pytest.mark.parametrize("how", ["a damaged file", "a callback that asks for too much", "one that raises"])
def test_what_the_trainer_says_of_its_last_run_stays(how: str, tmp_path: Path) -> None:
    trainer, path = trained(), tmp_path / "run"
    trainer.fit(X, Y, epochs=1, callbacks=[GradientHealth(1, warn=False)], progress=False)
    trainer.stop("mine")
    path.write_bytes(b"nothing")
    options: dict[str, Any] = {"progress": False}
    error: type[Exception]
    if how == "a damaged file":
        options["resume"], error = path, ValueError
    elif how == "one that raises":
        options["callbacks"], error = [Breaks()], ZeroDivisionError
    else:
        options["callbacks"], error = [EarlyStopping("val_loss")], ValueError
    before = trainer.history, trainer.health, trainer.history.stopped
    assert trainer.health is not None
    assert_refused(trainer, lambda: trainer.fit(X, Y, epochs=1, **options), error, "")
    assert (trainer.history, trainer.health, trainer.history.stopped) == before


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda _: EarlyStopping("val_loss"), ValueError),
        (lambda path: Checkpoint(path / "run", monitor="val_loss"), ValueError),
        (lambda path: Checkpoint(path / "no folder" / "run"), FileNotFoundError),
    ],
)
def test_a_first_run_that_a_callback_can_not_have_leaves_the_model_without_sizes(
    make: Callable[[Path], Callback], error: type[Exception], tmp_path: Path
) -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy")
    with pytest.raises(error):
        trainer.fit(X[:, :3], Y, epochs=1, callbacks=[make(tmp_path)], progress=False)
    trainer.fit(X, Y, epochs=1, progress=False)
    assert trainer.parameters["0.weight"].shape == (4, 8)


def test_a_first_run_with_validation_that_is_refused_may_be_tried_again(tmp_path: Path) -> None:
    path, trainer = tmp_path / "run", bp.Trainer(network(8, 3), "cross_entropy")
    path.write_bytes(b"nothing")
    options: dict[str, Any] = {"epochs": 1, "validation_data": (X, Y), "progress": False}
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        trainer.fit(X, Y, resume=path, **options)
    assert len(trainer.fit(X, Y, **options)["val_loss"]) == 1


def test_a_first_test_of_rates_that_can_not_be_leaves_the_model_without_sizes() -> None:
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.LBFGS())
    with pytest.raises(ValueError, match="LBFGS searches for the length"):
        trainer.find_learning_rate(X[:, :3], Y, batch_size=40)
    trainer.fit(X, Y, epochs=1, batch_size=40, progress=False)


def test_a_test_of_rates_ends_no_run() -> None:
    trainer = trained()
    trainer.find_learning_rate(X, Y, progress=False)
    assert not trainer.stop_training
    trainer.stop("mine")
    trainer.find_learning_rate(X, Y)
    assert trainer.stop_training


@pytest.mark.parametrize("name", ["epochs", "callbacks", "resume", "max_seconds", "tol"])
def test_a_test_of_rates_says_what_it_does_not_take(name: str) -> None:
    trainer = trained()
    options: dict[str, Any] = {name: [LearningRateFinder()] if name == "callbacks" else 1}
    message = f"find_learning_rate: {name} can't be given"
    assert_refused(trainer, lambda: trainer.find_learning_rate(X, Y, **options), TypeError, message)
