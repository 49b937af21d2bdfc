"""Settings of optimizers out of range, and trainers that are refused: the model's bits stay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, optim, schedules
from tests.training.problems import bits, blobs
from tests.training.refusal import X, Y, assert_refused, everything, trained

# Class, setting, and whether it is a pair; all lie in [0, 1).
DECAYS = [
    *(
        (each, "betas")
        for each in (optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.LAMB, optim.Lion)
    ),
    (optim.Adadelta, "rho"),
    (optim.RMSprop, "alpha"),
    (optim.RMSprop, "momentum"),
]
# Class and setting; all are at least 0.
AMOUNTS = [
    *(
        (each, "weight_decay")
        for each in (
            optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.LAMB, optim.Lion,
            optim.Adagrad, optim.Adadelta, optim.RMSprop,
        )
    ),
    (optim.NAdam, "momentum_decay"),
    (optim.Adagrad, "lr_decay"),
    (optim.Adagrad, "initial_accumulator_value"),
]  # fmt: skip
WRONG = [
    (-0.1, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    (True, TypeError),
    ("0", TypeError),
]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (optim.Adam, "amsgrad"),
        (optim.NAdam, "decoupled_weight_decay"),
        (optim.RMSprop, "centered"),
        (lambda **flags: optim.SGD(0.1, 0.9, **flags), "nesterov"),
        (lambda **flags: nn.Parameter(3, **flags), "trainable"),
        (lambda **flags: schedules.Cosine(0.1, 10, **flags), "periodic"),
        (lambda **flags: callbacks.GradientHealth(**flags), "warn"),
    ],
)
@pytest.mark.parametrize("value", ["no", 1, None])
def test_flags_are_true_or_false(make: Any, name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be True or False, got {value!r}"):
        make(**{name: value})


@pytest.mark.parametrize(("value", "error"), [(1.0, ValueError), (1, ValueError), *WRONG])
@pytest.mark.parametrize(("make", "name"), DECAYS)
def test_decays_lie_below_1(make: Any, name: str, value: Any, error: type[Exception]) -> None:
    pairs = [(value, 0.9), (0.9, value)] if name == "betas" else [value]
    for at, given in enumerate(pairs):
        which = rf"betas\[{at}\]" if name == "betas" else name
        with pytest.raises(error, match=rf"^{make.__name__}: {which} must be (in \[0, 1\)|a number), got "):
            make(**{name: given})
    make(**{name: (0.0, 0.0) if name == "betas" else 0.0})


@pytest.mark.parametrize(("value", "error"), WRONG)
@pytest.mark.parametrize(("make", "name"), AMOUNTS)
def test_amounts_are_not_negative(make: Any, name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(
        error, match=rf"^{make.__name__}: {name} must be (finite and at least 0|a number), got "
    ):
        make(**{name: value})


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": optim.LAMB(groups=[optim.Group("9"), optim.Group("*")])},
        {"optimizer": optim.AdamW(groups=[optim.Group("*.kernel")])},
        {"optimizer": optim.AdamW(groups=[optim.Group(max_ndim=0)])},
        {"clip_norm": 1.0, "clip_value": 1.0},
        {"clip_layer_norm": -1.0},
        {"ema": 1.0},
        {"nonfinite": "ignore"},
        {"regularizer": nn.L2},
        {"regularizer": 1e-4},
    ],
    ids=str,
)
def test_a_trainer_that_is_refused_leaves_the_model_to_its_first_one(options: dict[str, Any]) -> None:
    trainer, twin = trained(), trained()
    assert_refused(
        trainer,
        lambda: bp.Trainer(trainer.model, "cross_entropy", **options),
        TypeError if "regularizer" in options else ValueError,
        "",
    )
    for each in (trainer, twin):
        each.fit(X, Y, epochs=1, batch_size=16, progress=False)
    assert everything(trainer) == everything(twin)


def test_a_batch_of_one_row_among_those_of_a_step_is_refused_before_the_first() -> None:
    x, y = blobs(41)
    model = nn.Sequential(nn.Dense(6), nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(3))
    trainer = bp.Trainer(model, "cross_entropy", optim.LAMB(1e-2), clip_norm=1.0, ema=0.9, seed=3)
    trainer.fit(x[:40], y[:40], epochs=1, batch_size=8, accumulate=2, progress=False)
    average = bits(trainer.averaged_model())
    assert_refused(
        trainer,
        lambda: trainer.fit(x, y, epochs=1, batch_size=8, accumulate=3, progress=False),
        ValueError,
        "BatchNorm layer '1': expected more than 1 value per channel of a batch, got input of shape (1, 6)",
    )
    assert bits(trainer.averaged_model()) == average
    assert np.isfinite(trainer.predict(x[:1])).all()
