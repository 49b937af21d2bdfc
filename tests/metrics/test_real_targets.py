"""Metrics of classes refuse targets that are real numbers: their value would have no meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from tests.training.problems import bits

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
REAL = X[:, :1] * 2.5
BITS = (X[:, :1] > 0).astype(np.float32)
OF_CLASSES = [
    "accuracy", "binary_accuracy", "precision", "recall", "f1", "confusion_matrix", "roc_auc",
    "average_precision",
]  # fmt: skip


def _trainer(loss: Any, metrics: list[Any], units: int = 1) -> bp.Trainer:
    return bp.Trainer(nn.Sequential(nn.Dense(units, in_features=3)), loss, metrics=metrics)


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_real_numbers_are_refused_before_anything_is_changed(metric: str) -> None:
    trainer = _trainer("mse", ["mae", metric])
    before = bits(trainer)
    first = int(np.argmax((REAL > 1) | (REAL < 0)))
    says = rf"{metric} counts classes, but y\[{first}, 0\] is .*, not 0, 1, -1 or a probability; of real"
    with pytest.raises(ValueError, match=f"^fit: {says}"):
        trainer.fit(X, REAL, epochs=1, progress=False)
    with pytest.raises(ValueError, match=f"^fit: validation: {says}"):
        trainer.fit(X, BITS, epochs=1, validation_data=(X, REAL), progress=False)
    with pytest.raises(ValueError, match=f"^evaluate: {says}"):
        trainer.evaluate(X, REAL)
    assert bits(trainer) == before


def test_a_step_that_repeats_another_is_refused_as_well() -> None:
    trainer = _trainer("mse", ["accuracy"])
    for _ in range(2):
        trainer.step(X, BITS)
    with pytest.raises(ValueError, match="^step: accuracy counts classes"):
        trainer.step(X, REAL)
    assert trainer.steps == 2


@pytest.mark.parametrize(
    ("loss", "units", "y"),
    [
        ("mse", 1, BITS),
        ("mse", 1, 2 * BITS - 1),
        ("mse", 1, (BITS > 0)[:, 0]),
        ("mse", 1, 0.1 + 0.8 * BITS),
        ("mse", 3, np.eye(3, dtype=np.float32)[np.arange(20) % 3]),
        ("cross_entropy", 3, np.arange(20) % 3),
        (lambda p, t: p[:, 0] ** 2, 3, np.arange(20) % 3),  # noqa: ARG005 - the protocol
    ],
)
def test_classes_in_any_form_are_not(loss: Any, units: int, y: Any) -> None:
    assert 0 <= _trainer(loss, ["accuracy"], units).evaluate(X, y)["accuracy"] <= 1


@pytest.mark.parametrize("y", [np.arange(20), np.arange(20) - 1.0, -1 * np.arange(20)[:, None]])
def test_counts_beside_a_single_output_are_refused(y: Any) -> None:
    with pytest.raises(ValueError, match="accuracy counts classes"):
        _trainer("huber", ["accuracy"]).evaluate(X, y)


def test_the_output_is_named() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Dense(1), nn.Dense(1)

        def __call__(self, x: Any) -> Any:
            return {"a": self.a(x), "b": self.b(x)}

    trainer = bp.Trainer(Two(), {"a": "mse", "b": "mse"}, metrics={"a": "mae", "b": "accuracy"})
    assert trainer.evaluate(X, {"a": REAL, "b": BITS})["b_accuracy"] <= 1
    with pytest.raises(ValueError, match="^evaluate: output 'b': b_accuracy counts classes"):
        trainer.evaluate(X, {"a": BITS, "b": REAL})


def test_a_function_of_ones_own_makes_of_them_what_it_wants() -> None:
    def near(prediction: Any, target: Any) -> Any:
        return abs(prediction - target) < 1

    assert 0 <= _trainer("mse", [near]).evaluate(X, REAL)["near"] <= 1
