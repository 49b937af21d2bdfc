"""What objects say of themselves at a prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, ops, optim, schedules
from tests.nn.models import Plain
from tests.training.problems import blobs, network


def halved(step: int) -> float:
    return 0.5**step


class Own(callbacks.Callback):
    def __init__(self, name: str, often: int = 3) -> None:
        self.name, self.often, self.secret = name, often, 1


class OwnSchedule(schedules.Schedule):
    def __init__(self, peak: float) -> None:
        self.peak = peak


def _note(trainer: bp.Trainer, logs: Any) -> None: ...


def _sum(model: nn.Module, x: Any) -> Any:
    return ops.sum(model(x) ** 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # optimizers: the rate, and what is not the default
        (optim.Adam(), "Adam(lr=0.001)"),
        (optim.SGD(0.1, 0.9, True), "SGD(lr=0.1, momentum=0.9, nesterov=True)"),
        (optim.AdamW(halved, betas=(0.8, 0.99)), "AdamW(lr=halved, betas=(0.8, 0.99))"),
        (
            optim.Adam(schedules.Step(0.1, 5), groups=[optim.Group("*.bias", lr=0.2)]),
            "Adam(lr=Step(lr=0.1, step_size=5, gamma=0.1), groups=(Group('*.bias', lr=0.2),))",
        ),
        # schedules
        (schedules.Warmup(0.1, 5), "Warmup(schedule=Constant(lr=0.1), steps=5, start_factor=0.0)"),
        (schedules.Lambda(0.1, halved), "Lambda(lr=0.1, lr_lambda=halved)"),
        (OwnSchedule(2.0), "OwnSchedule(peak=2.0)"),
        # callbacks: all settings
        (
            callbacks.EarlyStopping("loss", patience=3),
            "EarlyStopping(monitor='loss', patience=3, min_delta=0.0, mode='min', restore_best=True)",
        ),
        (callbacks.GradientHealth(7), "GradientHealth(every=7, warn=True)"),
        (
            callbacks.LambdaCallback(on_epoch_end=_note),
            "LambdaCallback(on_epoch_end=_note, every_steps=None)",
        ),
        (Own("mine"), "Own(name='mine', often=3)"),
        (callbacks.Callback(), "Callback()"),
        # layers
        (nn.Dense(3), "Dense(3, in_features=None)"),
        (nn.Dense(3, "relu", in_features=2), "Dense(3, activation=relu, in_features=2)"),
        (
            nn.Conv2D(4, 3, activation="tanh"),
            "Conv2D(4, 3, strides=1, padding='valid', activation=tanh, in_channels=None)",
        ),
        (nn.Sequential(), "Sequential()"),
        (bp.History(), "History(no epochs)"),
    ],
)
def test_repr(value: Any, text: str) -> None:
    assert repr(value) == text


def test_an_optimizer_says_what_its_rates_are_multiplied_by() -> None:
    optimizer = optim.Adam(0.01)
    optimizer.scale = 0.5
    assert repr(optimizer) == "Adam(lr=0.01, scale=0.5)"


def test_layers_stand_one_a_line_and_those_in_layers_further_in() -> None:
    model = nn.Sequential(
        nn.Dense(4),
        nn.Residual(nn.Dense(4), nn.Sequential(nn.ReLU(), ops.tanh), shortcut=nn.Dense(4)),
        nn.Concatenate(nn.Dense(2), nn.Dense(3)),
    )
    assert repr(model).splitlines() == [
        "Sequential(",
        "  (0): Dense(4, in_features=None)",
        "  (1): Residual(",
        "    (modules.0): Dense(4, in_features=None)",
        "    (modules.1): Sequential(",
        "      (0): ReLU()",
        "      (1): tanh",
        "    )",
        "    (shortcut): Dense(4, in_features=None)",
        "  )",
        "  (2): Concatenate(",
        "    (modules.0): Dense(2, in_features=None)",
        "    (modules.1): Dense(3, in_features=None)",
        "    axis=-1",
        "  )",
        ")",
    ]


def test_modules_of_ones_own_name_their_parts() -> None:
    assert repr(Plain()).splitlines() == [
        "Plain(",
        "  (first): Dense(3, in_features=2)",
        "  (blocks.0): Dense(3, in_features=3)",
        "  (blocks.1.0): Dense(3, in_features=3, use_bias=False)",
        "  (heads.a): Dense(1, in_features=3)",
        ")",
    ]


def test_a_trainer_says_what_it_trains_how_and_how_far_it_is() -> None:
    model = nn.Sequential(nn.Dense(2))
    trainer = bp.Trainer(model, "mse", optim.SGD(0.1))
    assert repr(trainer) == (
        "Trainer(Sequential of ? parameters, loss='mse', optimizer=SGD(lr=0.1), steps=0, epochs=0)"
    )
    trainer.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=2, batch_size=2, progress=False)
    assert repr(trainer) == (
        "Trainer(Sequential of 8 parameters, loss='mse', optimizer=SGD(lr=0.1), steps=4, epochs=2)"
    )


def test_a_trainer_of_many_settings_takes_a_line_for_each() -> None:
    model = nn.Sequential(nn.Dense(2, in_features=1))
    trainer = bp.Trainer(model, objective=_sum, seed=3, dtype="float64", clip_norm=1.0, ema=0.99)
    assert repr(trainer).splitlines() == [
        "Trainer(",
        "  Sequential of 4 parameters,",
        "  objective=_sum,",
        "  optimizer=Adam(lr=0.001),",
        "  seed=3,",
        "  dtype='float64',",
        "  clip_norm=1.0,",
        "  ema=0.99,",
        "  steps=0,",
        "  epochs=0,",
        ")",
    ]


def test_a_history_says_how_it_ended_and_when_it_was_best() -> None:
    history = bp.History(10)
    for loss in (2.0, 1.0, 1.5):
        history.append(0.5, {"loss": loss / 2, "val_loss": loss})
    assert repr(history) == (
        "History(3 epochs in 1.5 s; last: loss 0.75, val_loss 1.5; least val_loss 1 in epoch 12)"
    )
    history.stopped = "tol"
    assert repr(history).endswith("least val_loss 1 in epoch 12; tol)")
    other = bp.History()
    other.stopped = "epochs"
    other.append(0.25, {"loss": 1.0, "matrix": np.eye(2), "val_loss": float("nan")})  # type: ignore[dict-item]
    assert repr(other) == "History(1 epoch in 0.25 s; last: loss 1, val_loss nan)"


def test_a_finder_says_what_it_found() -> None:
    finder = callbacks.LearningRateFinder(num_training_steps=30)
    assert "suggestion" not in repr(finder)
    x, y = blobs()
    bp.Trainer(network(8, 3), "cross_entropy").find_learning_rate(x, y, finder=finder)
    assert repr(finder).endswith(f"suggestion={finder.suggestion:.3g})")
