"""What is minimised: named losses, functions, weights, objectives; values are checked in float64 NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from bpcore._native import core
from tests.training.problems import LinearSgd, bits, blobs, cross_entropy, forward, network, regression
from tests.training.refusal import assert_refused


def _trainer(loss: Any, *units: int, in_features: int = 4, **options: Any) -> bp.Trainer:
    return bp.Trainer(
        network(*units, in_features=in_features), loss, optim.SGD(0.1), dtype="float64", **options
    )


def _twin(trainer: bp.Trainer) -> LinearSgd:
    return LinearSgd(trainer.parameters["0.weight"], trainer.parameters["0.bias"])


# Functions


def test_a_function_of_each_element_and_a_scalar_one_are_the_named_loss() -> None:
    x, y = regression(20)

    def each(prediction: Any, target: Any) -> Any:
        return (prediction - target) ** 2

    def scalar(prediction: Any, target: Any) -> Any:
        return ops.mean((prediction - target) ** 2)

    expected = _trainer("mse", 2, in_features=3)
    named = expected.fit(x, y, epochs=3, batch_size=8, progress=False)
    for loss in (each, scalar, losses.mse):
        trainer = _trainer(loss, 2, in_features=3)
        history = trainer.fit(x, y, epochs=3, batch_size=8, progress=False)
        np.testing.assert_allclose(history["loss"], named["loss"], rtol=1e-12)
        for name, value in expected.parameters.items():
            np.testing.assert_allclose(trainer.parameters[name], value, rtol=1e-11)


def test_integer_one_hot_and_soft_targets_of_cross_entropy() -> None:
    x, y = blobs(30)
    integer, one_hot = _trainer("cross_entropy", 5, 3), _trainer("cross_entropy", 5, 3)
    integer.fit(x, y, epochs=3, batch_size=8, progress=False)
    one_hot.fit(x, np.eye(3)[y], epochs=3, batch_size=8, progress=False)
    for name, value in integer.parameters.items():
        np.testing.assert_allclose(one_hot.parameters[name], value, rtol=1e-9, atol=1e-12)

    soft = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    logits = forward(integer.parameters, x)
    by_class = np.stack([cross_entropy(logits, np.full(30, c)) for c in range(3)], axis=1)
    expected = (soft * by_class).sum(axis=1).mean()
    assert integer.evaluate(x, soft)["loss"] == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_of_huge_logits_is_finite_and_right() -> None:
    trainer = _trainer("cross_entropy", 3, in_features=3)
    trainer.parameters["0.weight"][...] = 1e4 * np.eye(3)
    assert trainer.evaluate(np.eye(3), [0, 1, 2])["loss"] == 0.0
    assert trainer.evaluate(np.eye(3), [1, 2, 0])["loss"] == pytest.approx(1e4)
    assert np.isfinite(trainer.step(np.eye(3), [1, 2, 0]))


def test_binary_cross_entropy_of_logits() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    y = (x.sum(axis=1) > 0).astype(int)
    trainer = _trainer("binary_cross_entropy", 1)
    z = forward(trainer.parameters, x)[:, 0]
    expected = (np.logaddexp(0, z) - y * z).mean()
    for target in (y, y[:, None], y.astype(float), y.astype(bool)):
        assert trainer.evaluate(x, target)["loss"] == pytest.approx(expected, rel=1e-12)


# Weights


@pytest.mark.parametrize("shuffle", [False, True])
def test_sample_weights_mean_the_weighted_mean_of_each_batch(shuffle: bool) -> None:
    """Σwℓ / Σw, in each step over its batch, in the history over the epoch."""
    x, y = regression(20)
    weights = np.random.default_rng(1).uniform(0.1, 3, 20)
    trainer = _trainer("mse", 2, in_features=3)
    twin = _twin(trainer)
    history = trainer.fit(
        x, y, epochs=2, batch_size=6, shuffle=shuffle, sample_weight=weights, progress=False
    )
    for epoch in range(2):
        order = core.permutation(20, 0, epoch) if shuffle else np.arange(20)
        total = 0.0
        for start in range(0, 20, 6):
            rows = order[start : start + 6]
            total += twin.step(x[rows], y[rows], 0.1, weights[rows]) * weights[rows].sum()
        assert history["loss"][epoch] == pytest.approx(total / weights.sum(), rel=1e-12)
    twin.assert_equals(trainer)


def test_equal_weights_of_any_size_are_no_weights() -> None:
    x, y = blobs(30)
    plain, weighted = _trainer("cross_entropy", 5, 3), _trainer("cross_entropy", 5, 3)
    plain.fit(x, y, epochs=2, batch_size=8, progress=False)
    weighted.fit(x, y, epochs=2, batch_size=8, sample_weight=np.full(30, 1000), progress=False)
    for name, value in plain.parameters.items():
        np.testing.assert_allclose(weighted.parameters[name], value, rtol=1e-10)


def test_a_sample_of_weight_zero_is_not_there() -> None:
    x, y = regression(20)
    weights = (np.arange(20) % 3 > 0).astype(float)
    kept = weights > 0
    weighted, without = (_trainer("mse", 2, in_features=3) for _ in range(2))
    for _ in range(3):
        weighted.step(x, y, weights)
        without.step(x[kept], y[kept])
    for name, value in without.parameters.items():
        np.testing.assert_allclose(weighted.parameters[name], value, rtol=1e-11)
    assert weighted.evaluate(x, y, sample_weight=weights)["loss"] == pytest.approx(
        without.evaluate(x[kept], y[kept])["loss"]
    )


def test_a_batch_of_weight_zero_changes_nothing() -> None:
    """Its loss is 0, not 0 / 0."""
    x, y = regression(8)
    trainer = _trainer("mse", 2, in_features=3)
    twin = _twin(trainer)
    weights = np.repeat([0.0, 1.0], 4)
    history = trainer.fit(x, y, epochs=1, batch_size=4, shuffle=False, sample_weight=weights, progress=False)
    assert history["loss"] == [pytest.approx(twin.step(x[4:], y[4:], 0.1))]
    twin.assert_equals(trainer)


def test_metrics_are_weighted_as_the_loss_is() -> None:
    x, y = blobs(30)
    trainer = _trainer("cross_entropy", 3, metrics=["accuracy"])
    weights = np.random.default_rng(0).uniform(size=30)
    logits = forward(trainer.parameters, x)
    values = trainer.evaluate(x, y, sample_weight=weights, batch_size=7)
    assert values["loss"] == pytest.approx(
        (weights * cross_entropy(logits, y)).sum() / weights.sum(), rel=1e-12
    )
    assert values["accuracy"] == pytest.approx(
        (weights * (logits.argmax(1) == y)).sum() / weights.sum(), rel=1e-12
    )


def test_weights_on_a_scalar_loss_raise() -> None:
    x, y = regression(8)
    trainer = _trainer(lambda prediction, target: ops.mean((prediction - target) ** 2), 2, in_features=3)
    before = bits(trainer)
    with pytest.raises(ValueError, match="scalar for the whole batch, so samples can't be weighted"):
        trainer.fit(x, y, epochs=1, sample_weight=np.ones(8), progress=False)
    assert bits(trainer) == before


# Objectives


def test_an_objective_of_two_inputs_is_the_loss_it_spells() -> None:
    x, y = regression(20)

    def objective(model: nn.Module, features: Any, target: Any) -> Any:
        return losses.mse(model(features), target)

    model = network(2, in_features=3)
    trainer = bp.Trainer(model, objective=objective, optimizer=optim.SGD(0.1), dtype="float64")
    twin = _twin(trainer)
    history = trainer.fit((x, y), epochs=1, batch_size=8, shuffle=False, progress=False)
    total = sum(twin.step(x[i : i + 8], y[i : i + 8], 0.1) * len(x[i : i + 8]) for i in range(0, 20, 8))
    assert history["loss"] == [pytest.approx(total / 20, rel=1e-12)]
    twin.assert_equals(trainer)
    assert trainer.step(x, y) == pytest.approx(twin.step(x, y, 0.1), rel=1e-12)
    assert trainer.evaluate((x, y))["loss"] == pytest.approx(((x @ twin.weight + twin.bias - y) ** 2).mean())
    np.testing.assert_allclose(trainer.predict(x), x @ twin.weight + twin.bias)


def test_an_autoencoder_is_an_objective_of_one_input() -> None:
    x = np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32) @ np.ones((1, 5), np.float32)
    trainer = bp.Trainer(
        network(1, 5, activation=None),
        objective=lambda model, v: losses.mse(model(v), v),
        optimizer=optim.Adam(0.05),
    )
    history = trainer.fit(x, epochs=60, validation_data=x, batch_size=10, progress=False)
    assert history["val_loss"][-1] < 0.01 < history["val_loss"][0]


# Metrics


def test_a_function_as_metric_per_element_and_as_a_scalar() -> None:
    x, y = regression(20)

    def absolute(prediction: Any, target: Any) -> Any:
        return ops.abs(prediction - target)

    def close(prediction: Any, target: Any) -> Any:
        return ops.abs(prediction - target) < 1.0

    trainer = _trainer("mse", 2, in_features=3, metrics=[absolute, close])
    error = np.abs(forward(trainer.parameters, x) - y)
    values = trainer.evaluate(x, y, batch_size=7)
    assert list(values) == ["loss", "absolute", "close"]
    assert values["absolute"] == pytest.approx(error.mean(), rel=1e-12)
    assert values["close"] == pytest.approx((error < 1).mean(), rel=1e-12)


@pytest.mark.parametrize("shape", [(30,), (30, 1)])
def test_accuracy_of_two_classes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 2, 30)
    trainer = _trainer("binary_cross_entropy", 1, metrics=["accuracy"])
    right = (forward(trainer.parameters, x)[:, 0] > 0) == y
    for target in (y, y.astype(float), y.astype(bool)):
        assert trainer.evaluate(x, target.reshape(shape))["accuracy"] == pytest.approx(right.mean())


# Logits, classes and probabilities


@pytest.mark.parametrize(
    ("loss", "target", "fragment"),
    [
        ("cross_entropy", np.zeros(8, np.int64), "use binary_cross_entropy"),
        ("cross_entropy", np.ones((8, 1)), "use binary_cross_entropy"),
        (losses.cross_entropy, np.zeros(8, np.int64), "use binary_cross_entropy"),
    ],
)
def test_cross_entropy_of_a_single_class_raises(loss: Any, target: Any, fragment: str) -> None:
    """Its loss would be 0 whatever the model does."""
    trainer = _trainer(loss, 1)
    x = np.random.default_rng(0).normal(size=(8, 4))
    assert_refused(trainer, lambda: trainer.fit(x, target, epochs=1, progress=False), ValueError, fragment)


@pytest.mark.parametrize(
    ("row", "fragment"),
    [
        ([0.5, 0.5, 0.5], "y[3] is [0.5 0.5 0.5]"),
        ([1.5, -0.5, 0.0], "y[3] is"),
        ([0.0, 0.0, 0.0], "y[3] is"),
        ([0.3, 0.3, 0.398], "y[3] is"),
    ],
)
@pytest.mark.parametrize("loss", ["cross_entropy", losses.cross_entropy])
def test_float_targets_of_cross_entropy_must_be_probabilities(loss: Any, row: Any, fragment: str) -> None:
    x, y = blobs(12)
    trainer = _trainer(loss, 3)
    good = np.eye(3)[y]
    wrong = good.copy()
    wrong[3] = row
    weights = np.ones(12)
    for call in (
        lambda: trainer.fit(x, wrong, epochs=1, progress=False),
        lambda: trainer.fit(x, wrong, epochs=1, sample_weight=weights, progress=False),
        lambda: trainer.fit(x, good, epochs=1, validation_data=(x, wrong), progress=False),
        lambda: trainer.step(x, wrong),
        lambda: trainer.evaluate(x, wrong),
    ):
        assert_refused(trainer, call, ValueError, fragment)
    wrong[3] = [0.3, 0.3, 0.3995]
    trainer.step(x, wrong)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("loss", "activation", "units"),
    [("cross_entropy", "softmax", 3), ("binary_cross_entropy", "sigmoid", 1)],
)
def test_losses_of_logits_refuse_probabilities(
    loss: str, activation: str, units: int, named: bool, apart: bool
) -> None:
    """As a layer's activation, which may be fused with it, and as a layer of its own."""
    x, y = blobs(12)
    dense = nn.Dense(units, None if apart else activation, in_features=4)
    model = nn.Sequential(dense, getattr(ops, activation)) if apart else nn.Sequential(dense)
    trainer = bp.Trainer(model, loss if named else getattr(losses, loss))
    fragment = f"{loss} takes logits; leave the {activation} out"
    target = np.minimum(y, 1)
    assert_refused(trainer, lambda: trainer.fit(x, target, epochs=1, progress=False), ValueError, fragment)
    assert_refused(trainer, lambda: trainer.evaluate(x, target), ValueError, fragment)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("activation", [None, "tanh", "relu"])
def test_other_activations_are_logits(loss: str, activation: str | None) -> None:
    x, y = blobs(12)
    model = nn.Sequential(nn.Dense(3, activation, in_features=4))
    assert np.isfinite(bp.Trainer(model, loss).step(x, np.eye(3)[y]))
