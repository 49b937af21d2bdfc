"""What the tests of bad input share: a call must raise, say why, and leave everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import bpcore as bp
from bpcore import optim
from tests.training.problems import bits, blobs, network

X, Y = blobs(40)


def trained() -> bp.Trainer:
    """A trainer that has been trained a little, so that there is something to lose."""
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"])
    trainer.fit(X, Y, epochs=2, batch_size=16, progress=False)
    return trainer


def everything(trainer: bp.Trainer) -> tuple[Any, ...]:
    """All that a failed call must leave alone."""
    flat, states = trainer.snapshot()
    moments = {name: value.tobytes() for name, value in trainer.optimizer_state.items()}
    return (
        bits(trainer), flat.tobytes(), states.tobytes(), moments, trainer.steps, trainer.epochs,
        {name: trainer.history[name] for name in trainer.history}, trainer.history.epochs,
        trainer.stop_training,
    )  # fmt: skip


def assert_refused(
    trainer: bp.Trainer, call: Callable[[], Any], error: type[Exception], fragment: str
) -> None:
    before = everything(trainer)
    with pytest.raises(error) as caught:
        call()
    assert fragment in str(caught.value)
    assert everything(trainer) == before
