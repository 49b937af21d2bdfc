"""Trainer.fit: it learns, it makes exactly the steps it should, and it reports them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from bpcore._native import core
from bpcore.symbolic import tracing
from tests.training.problems import LinearSgd, bits, blobs, network, regression, xor


def _linear(lr: float = 0.05, seed: int = 0) -> tuple[bp.Trainer, LinearSgd]:
    """A linear model in float64 with plain SGD, and its twin in NumPy."""
    model = network(2, in_features=3)
    trainer = bp.Trainer(model, loss="mse", optimizer=optim.SGD(lr), dtype="float64", seed=seed)
    return trainer, LinearSgd(trainer.parameters["0.weight"], trainer.parameters["0.bias"])


def test_xor_is_learned() -> None:
    x, y = xor()
    trainer = bp.Trainer(network(8, 1), "binary_cross_entropy", optim.Adam(0.05), metrics=["accuracy"])
    history = trainer.fit(x, y, epochs=300, batch_size=4, progress=False)
    assert history["accuracy"][-1] == 1.0
    assert history["loss"][-1] < 0.05
    assert ((trainer.predict(x) > 0) == (y > 0)).all()


@pytest.mark.parametrize(
    "optimizer", [optim.SGD(0.1), optim.SGD(0.02, 0.9), optim.SGD(0.02, 0.9, True), optim.Adam(0.01)]
)
def test_blobs_are_told_apart(optimizer: optim.Optimizer) -> None:
    x, y = blobs()
    trainer = bp.Trainer(network(16, 3, activation="relu"), "cross_entropy", optimizer, metrics=["accuracy"])
    trainer.fit(x, y, epochs=15, batch_size=16, progress=False)
    unseen = blobs(seed=1)
    assert trainer.evaluate(*unseen)["accuracy"] > 0.97


@pytest.mark.parametrize("batch_size", [1, 7, 10, 20, 50])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_step_is_that_of_plain_numpy(batch_size: int, shuffle: bool) -> None:
    """Also with a smaller last batch, whose loss is its own mean, and with a batch larger than the data."""
    x, y = regression(20)
    trainer, twin = _linear(seed=5)
    history = trainer.fit(x, y, epochs=3, batch_size=batch_size, shuffle=shuffle, progress=False)

    for epoch in range(3):
        order = core.permutation(20, 5, epoch) if shuffle else np.arange(20)
        total = 0.0
        for start in range(0, 20, batch_size):
            rows = order[start : start + batch_size]
            total += twin.step(x[rows], y[rows], 0.05) * len(rows)
        assert history["loss"][epoch] == pytest.approx(total / 20, rel=1e-12)
    twin.assert_equals(trainer)
    assert trainer.steps == 3 * -(-20 // batch_size)


def test_every_epoch_has_an_order_of_its_own_with_every_sample_once() -> None:
    orders = [core.permutation(100, 3, epoch) for epoch in range(4)]
    for i, order in enumerate(orders):
        assert sorted(order.tolist()) == list(range(100))
        assert order.tolist() != list(range(100))
        assert all((order != other).any() for other in orders[:i])
    assert (core.permutation(100, 3, 1) == orders[1]).all()
    assert (core.permutation(100, 4, 1) != orders[1]).any()


def test_history_has_a_value_of_each_kind_for_each_epoch() -> None:
    x, y = blobs(50)
    trainer = bp.Trainer(network(3), "cross_entropy", metrics=["accuracy"])
    history = trainer.fit(x, y, epochs=4, batch_size=16, validation_data=blobs(20), progress=False)
    assert history is trainer.history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert len(history.epochs) == 4
    assert history.epochs == [1, 2, 3, 4]
    assert all(len(history[name]) == 4 and all(map(np.isfinite, history[name])) for name in history)
    assert len(history.seconds) == 4
    assert min(history.seconds) > 0
    assert trainer.fit(x, y, epochs=2, progress=False).epochs == [5, 6]
    assert list(trainer.history) == ["loss", "accuracy"]
    with pytest.raises(KeyError, match="no 'val_loss' in the history; it has loss, accuracy"):
        trainer.history["val_loss"]


def test_validation_values_are_those_of_evaluate() -> None:
    held_out = blobs(30, seed=1)
    trainer = bp.Trainer(network(8, 3), "cross_entropy", metrics=["accuracy"])
    history = trainer.fit(*blobs(), epochs=2, validation_data=held_out, progress=False)
    expected = trainer.evaluate(*held_out)
    assert {name: history[f"val_{name}"][-1] for name in expected} == expected


def test_validation_data_does_not_change_training() -> None:
    x, y = blobs()
    trained = []
    for held_out in (None, blobs(30, seed=1)):
        trainer = bp.Trainer(network(8, 3), "cross_entropy")
        trainer.fit(x, y, epochs=3, validation_data=held_out, progress=False)
        trained.append(bits(trainer))
    assert trained[0] == trained[1]


def test_validation_split_keeps_the_last_samples_back() -> None:
    x, y = blobs(80)
    split = bp.Trainer(network(8, 3), "cross_entropy")
    history = split.fit(x, y, epochs=3, validation_split=0.25, progress=False)
    given = bp.Trainer(network(8, 3), "cross_entropy")
    expected = given.fit(x[:60], y[:60], epochs=3, validation_data=(x[60:], y[60:]), progress=False)
    assert bits(split) == bits(given)
    assert history["val_loss"] == expected["val_loss"]


def test_weighted_validation_data_weighs_the_validation() -> None:
    x, y = regression(20)
    weight = np.arange(20.0)
    trainer, _ = _linear()
    history = trainer.fit(x, y, epochs=1, validation_data=(x, y, weight), progress=False)
    assert history["val_loss"] == [trainer.evaluate(x, y, sample_weight=weight)["loss"]]
    assert history["val_loss"] != [trainer.evaluate(x, y)["loss"]]


def test_the_optimizer_goes_on_between_two_fits() -> None:
    """2 + 3 epochs leave the bits of 5: moments, step count and shuffles go on."""
    x, y = blobs()
    parted, whole = (bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01)) for _ in range(2))
    first = parted.fit(x, y, epochs=2, progress=False)
    second = parted.fit(x, y, epochs=3, progress=False)
    history = whole.fit(x, y, epochs=5, progress=False)
    assert first["loss"] + second["loss"] == history["loss"]
    assert bits(parted) == bits(whole)
    assert parted.steps == whole.steps == 15
    assert parted.epochs == whole.epochs == 5


def test_no_epochs_change_nothing() -> None:
    x, y = blobs()
    trainer = bp.Trainer(network(3, in_features=4), "cross_entropy")
    before = bits(trainer)
    history = trainer.fit(x, y, epochs=0, progress=False)
    assert len(history.epochs) == 0
    assert list(history) == []
    assert bits(trainer) == before
    assert trainer.steps == 0


def test_the_learning_rate_may_be_a_function_of_the_step() -> None:
    x, y = regression(20)
    asked: list[int] = []

    def rate(step: int) -> float:
        asked.append(step)
        return 0.1 / (1 + step)

    model = network(2, in_features=3)
    trainer = bp.Trainer(model, "mse", optim.SGD(rate), dtype="float64")
    twin = LinearSgd(trainer.parameters["0.weight"], trainer.parameters["0.bias"])
    trainer.fit(x, y, epochs=1, batch_size=4, shuffle=False, progress=False)
    trainer.step(x[:4], y[:4])
    trainer.fit(x, y, epochs=1, batch_size=4, shuffle=False, progress=False)
    batches = [slice(i, i + 4) for i in range(0, 20, 4)]
    for step, rows in enumerate([*batches, batches[0], *batches]):
        twin.step(x[rows], y[rows], 0.1 / (1 + step))
    twin.assert_equals(trainer)
    assert set(asked) == set(range(11))


def test_a_learning_rate_of_zero_changes_nothing() -> None:
    trainer = bp.Trainer(network(3, in_features=4), "cross_entropy", optim.SGD(0.0))
    before = bits(trainer)
    trainer.fit(*blobs(), epochs=2, progress=False)
    assert bits(trainer) == before


def test_a_loss_that_is_not_finite_stops_before_its_update() -> None:
    """The message counts the steps that were done; the parameters are those they left."""
    x, y = regression(64)
    trainer, twin = _linear(lr=1e60)
    done = 0
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite at step") as caught:
        trainer.fit(x, y, epochs=3, batch_size=4, shuffle=False, progress=False)
    with np.errstate(all="ignore"):
        while np.isfinite(
            ((x[done * 4 : done * 4 + 4] @ twin.weight + twin.bias - y[done * 4 : done * 4 + 4]) ** 2).mean()
        ):
            twin.step(x[done * 4 : done * 4 + 4], y[done * 4 : done * 4 + 4], 1e60)
            done += 1
    assert 1 <= done < 16
    assert trainer.steps == done
    assert f"step {done} " in str(caught.value)
    np.testing.assert_allclose(trainer.parameters["0.weight"], twin.weight, rtol=1e-9)

    for name, value in trainer.parameters.items():
        value[...] = 0.1 if name == "0.weight" else 0.0
    trainer.optimizer.lr = 0.01  # type: ignore[assignment]
    assert np.isfinite(trainer.fit(x, y, epochs=1, progress=False)["loss"]).all()


class _Telling(nn.Module):
    """A layer whose output says whether it was in training mode."""

    def __init__(self) -> None:
        self.dense = nn.Dense(1, in_features=3)

    def __call__(self, x: Any) -> Any:
        trace = tracing.current()
        assert trace is not None
        return 0 * self.dense(x) + float(trace.training)


def test_the_trainer_evaluates_and_predicts_in_inference_mode_inside_of_training() -> None:
    x, y = regression(20, outputs=1)
    trainer = bp.Trainer(_Telling(), "mse", dtype="float64")
    with bp.training(1):
        assert trainer.model(x).max() == 1.0
        assert trainer.predict(x).max() == 0.0
        inside = trainer.evaluate(x, y)["loss"]
        history = trainer.fit(x, y, epochs=1, validation_data=(x, y), progress=False)
    assert trainer.predict(x).max() == 0.0
    assert history["val_loss"] == [inside] == [trainer.evaluate(x, y)["loss"]]
    assert inside == pytest.approx((y**2).mean())
    assert history["loss"] == [pytest.approx(((y - 1) ** 2).mean())]
