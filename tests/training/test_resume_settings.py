"""A run goes on only where the same is learned in the same way; what may have changed counts from there."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from bpcore.basics import files
from bpcore.callbacks import Checkpoint
from tests.training.problems import bits, blobs, network

X, Y = blobs(48)
TWO = [optim.Group("*.bias", lr=0.1, weight_decay=0.0)]


def _trainer(**changes: Any) -> bp.Trainer:
    given = {"loss": "cross_entropy", "optimizer": optim.AdamW(0.02, weight_decay=0.1, groups=TWO), **changes}
    return bp.Trainer(network(8, 3, in_features=4), **{"clip_norm": 1.0, "regularizer": nn.L2(1e-3), **given})


def _fit(trainer: bp.Trainer, path: Path, **options: Any) -> bp.Trainer:
    trainer.fit(X, Y, **{"epochs": 2, "batch_size": 12, "progress": False, "resume": path, **options})
    return trainer


def _written(path: Path, trainer: bp.Trainer, **options: Any) -> Path:
    """A file of the end of the first epoch."""
    _fit(trainer, path, epochs=1, resume=None, callbacks=[Checkpoint(path)], **options)
    return path


def own(prediction: Any, target: Any) -> Any:
    return losses.cross_entropy(prediction, target, reduction="none")


def other(prediction: Any, target: Any) -> Any:
    return 2 * own(prediction, target)


def objective(model: Any, x: Any, y: Any) -> Any:
    return ops.mean(own(model(x), y))


def adamw(**changes: Any) -> optim.AdamW:
    return optim.AdamW(**{"lr": 0.02, "weight_decay": 0.1, "groups": TWO, **changes})


SMOOTHED = functools.partial(losses.cross_entropy, label_smoothing=0.1)

# What a run had, what another trainer has, and what is said of it.
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a loss": ({}, {"loss": "multi_margin"}, "loss='cross_entropy', this trainer has loss='multi_margin'"),
    "a function": ({"loss": own}, {"loss": other}, "loss='own', this trainer has loss='other'"),
    "options": (
        {},
        {"loss": SMOOTHED},
        "options of the loss=[''], this trainer has options of the loss=['label_smoothing=0.1']",
    ),
    "an objective": (
        {},
        {"loss": None, "objective": objective},
        "objective=False, this trainer has objective=True",
    ),
    "a regularizer": (
        {},
        {"regularizer": None},
        "regularizer={'l1': 0.0, 'l2': 0.001}, this trainer has regularizer=None",
    ),
    "an optimizer": ({}, {"optimizer": "sgd"}, "optimizer='adamw', this trainer has optimizer='sgd'"),
    "a pair": (
        {},
        {"optimizer": adamw(betas=(0.8, 0.999))},
        "adamw's betas=[0.9, 0.999], this trainer has adamw's betas=[0.8, 0.999]",
    ),
    "a number": (
        {},
        {"optimizer": adamw(weight_decay=0.2)},
        "adamw's weight_decay=0.1, this trainer has adamw's weight_decay=0.2",
    ),
    "groups": ({}, {"optimizer": adamw(groups=())}, "this trainer has adamw's groups=[]"),
    "clipping": ({}, {"clip_norm": 2.0}, "clip_norm=1.0, this trainer has clip_norm=2.0"),
    "other clipping": (
        {},
        {"clip_norm": None, "clip_value": 1.0},
        "clip_norm=1.0, this trainer has clip_norm=None",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_run_is_refused_before_anything_is_changed(case: str, tmp_path: Path) -> None:
    had, has, message = OTHERS[case]
    path = _written(tmp_path / "run", _trainer(**had))
    trainer = _trainer(**has)
    before = bits(trainer)
    inputs = {"x": (X, Y), "y": None} if trainer.objective is not None else {"x": X, "y": Y}
    with pytest.raises(ValueError, match="is of a run with ") as raised:
        trainer.fit(**inputs, epochs=2, batch_size=12, progress=False, resume=path)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)
    assert bits(trainer) == before
    assert (trainer.steps, trainer.epochs) == (0, 0)


def test_losses_by_output_and_their_weights(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.kind, self.size = nn.Dense(3), nn.Dense(1)

        def __call__(self, x: Any) -> Any:
            return {"kind": self.kind(x), "size": self.size(x)}

    def fit(loss: str, weight: float, resume: Path | None, **options: Any) -> None:
        given = {"kind": "cross_entropy", "size": loss}
        trainer = bp.Trainer(Two(), given, loss_weights={"size": weight})
        trainer.fit(
            X, {"kind": Y, "size": X[:, 0]}, **{"epochs": 2, "progress": False, "resume": resume, **options}
        )

    path = tmp_path / "run"
    fit("mse", 0.5, None, epochs=1, callbacks=[Checkpoint(path)])
    fit("mse", 0.5, path)
    with pytest.raises(ValueError, match="this trainer has loss={'kind': 'cross_entropy', 'size': 'mae'}"):
        fit("mae", 0.5, path)
    with pytest.raises(ValueError, match=r"this trainer has loss_weights={'size': 0.25}"):
        fit("mse", 0.25, path)


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("balanced", None, "class_weight=balanced, this run has class_weight=None"),
        (None, {1: 3}, "class_weight=None, this run has class_weight={1: 3.0}"),
        ([1, 2, 3], np.array([1.0, 2.0, 4.0]), "class_weight=[1.0, 2.0, 3.0], this run has"),
    ],
)
def test_other_weights_by_class_are_another_loss(was: Any, now: Any, message: str, tmp_path: Path) -> None:
    path = _written(tmp_path / "run", _trainer(), class_weight=was)
    with pytest.raises(ValueError, match=f"is of a run with {re.escape(message)}"):
        _fit(_trainer(), path, class_weight=now)


def test_the_same_weights_by_class_may_be_written_otherwise(tmp_path: Path) -> None:
    path = _written(tmp_path / "run", _trainer(), class_weight={1: 2, 0: 3})
    assert _fit(_trainer(), path, class_weight={np.int64(0): 3.0, 1: 2.0}).epochs == 2


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"optimizer": adamw(lr=0.5)}, {}),
        ({"optimizer": adamw(groups=[optim.Group("*.bias", lr=0.3, weight_decay=0.0)])}, {}),
        ({"ema": 0.9, "nonfinite": "skip", "threads": 1}, {}),
        ({}, {"batch_size": 16, "accumulate": 2, "shuffle": False}),
        ({"clip_norm": 1}, {}),
    ],
)
def test_what_may_have_changed_counts_from_there(
    changes: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    path = _written(tmp_path / "run", _trainer())
    resumed = _fit(_trainer(**changes), path, **options)
    assert resumed.epochs == 2
    whole = _fit(_trainer(), path)
    same = "clip_norm" in changes or "ema" in changes
    assert (bits(resumed) == bits(whole)) == same
    if "optimizer" in changes:
        assert resumed.optimizer.config() == changes["optimizer"].config()


@pytest.mark.parametrize(
    "drop",
    [
        lambda settings: settings.pop("loss_options"),
        lambda settings: settings["run"]["settings"].pop("class_weight"),
        lambda settings: settings["control"].pop("clip_norm"),
        lambda settings: settings["optimizer"].pop("weight_decay"),
    ],
)
def test_what_a_file_does_not_know_of_is_not_compared(
    drop: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    path = _written(tmp_path / "run", _trainer(loss=SMOOTHED), class_weight="balanced")
    tensors, metadata = files.read(path)
    settings = json.loads(metadata["trainer"])
    drop(settings)
    files.write(path, tensors, {"trainer": json.dumps(settings)})
    assert _fit(_trainer(loss=SMOOTHED), path, class_weight="balanced").epochs == 2


def test_what_was_refused_can_begin_another_run_from_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path / "run", _trainer())
    trainer = bp.Trainer.load(path, network(8, 3), loss="multi_margin", clip_norm=2.0)
    assert trainer.fit(X, Y, epochs=1, progress=False).epochs == [2]
