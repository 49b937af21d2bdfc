"""Losses and metrics of one's own: with weights, of several outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.training.problems import forward, network
from tests.training.refusal import assert_refused

N, FEATURES, C = 23, 4, 3
RNG = np.random.default_rng(6)
X, Y = RNG.normal(size=(N, FEATURES)), RNG.integers(0, C, N)
SAMPLES = RNG.uniform(0, 2, N)


def _trainer(loss: Any, units: int, **options: Any) -> bp.Trainer:
    return bp.Trainer(network(units, in_features=FEATURES), loss, optim.SGD(0.1), dtype="float64", **options)


def test_weights_of_a_function_of_ones_own() -> None:
    """As a loss and as a metric: what is negative in the target doesn't count."""
    y = RNG.normal(size=(N, 2))
    mask = y >= 0

    def masked(prediction: Any, target: Any) -> Any:
        counts = ops.cast(target >= 0, "float64")
        return losses.Weighted(counts * ops.abs(prediction - target), counts)

    def share(prediction: Any, target: Any) -> Any:
        return losses.Weighted(ops.logical_and(prediction > target, target >= 0), target >= 0)

    trainer = _trainer(masked, 2, metrics=[share])
    z = forward(trainer.parameters, X)
    for weight in (None, SAMPLES):
        w = mask * (np.ones(N) if weight is None else weight)[:, None]
        found = trainer.evaluate(X, y, batch_size=6, sample_weight=weight)
        assert found["loss"] == pytest.approx((w * np.abs(z - y)).sum() / w.sum(), rel=1e-12)
        assert found["share"] == pytest.approx((w * (z > y)).sum() / w.sum(), rel=1e-12)
    gradient = trainer.gradients(X, y)["0.bias"]
    np.testing.assert_allclose(gradient, (mask * np.sign(z - y)).sum(axis=0) / mask.sum(), rtol=1e-12)


def test_a_function_may_give_the_sum_and_its_weight() -> None:
    y = RNG.normal(size=N)

    def summed(prediction: Any, target: Any) -> Any:
        weights = ops.abs(target)
        return losses.Weighted(ops.sum(weights * ops.abs(prediction - target)), ops.sum(weights))

    trainer = _trainer(summed, 1)
    expected = np.average(np.abs(forward(trainer.parameters, X)[:, 0] - y), weights=np.abs(y))
    assert trainer.evaluate(X, y, batch_size=4)["loss"] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="scalar for the whole batch, so samples can't be weighted"):
        trainer.evaluate(X, y, sample_weight=SAMPLES)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (
            lambda p, t: (p - t, ops.sum(t)),
            ValueError,
            "loss: its values have shape (23, 1), their weights ()",
        ),
        (
            lambda p, t: (p - t, ops.sum(t, axis=-1)),
            ValueError,
            "values have shape (23, 1), their weights (23,)",
        ),
        (
            lambda p, t: (p - t, 1.0),
            TypeError,
            "expected a tensor computed from the model's output, got float",
        ),
        (
            lambda p, t: (p - ops.reshape(t, (-1,)), t),
            ValueError,
            "it broadcasts a prediction of shape (23, 1)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(parts: Any, error: type[Exception], message: str) -> None:
    trainer = _trainer(lambda prediction, target: losses.Weighted(*parts(prediction, target)), 1)
    y = RNG.normal(size=(N, 1))
    assert_refused(trainer, lambda: trainer.fit(X, y, epochs=1, batch_size=N, progress=False), error, message)


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (lambda d: ops.mean(d, axis=0), "(2,)"),
        (lambda d: ops.reshape(ops.mean(d), (1,)), "(1,)"),
        (lambda d: ops.transpose(d), "(2, 23)"),
        (lambda d: d[:, :0], "(23, 0)"),
        (lambda d: losses.Weighted(d[1:], d[1:]), "(22, 2)"),
    ],
)
@pytest.mark.parametrize("weight", [None, SAMPLES])
def test_values_of_no_sample_are_refused_as_a_loss_and_as_a_metric(
    values: Any, shape: str, weight: Any
) -> None:
    """The mean over a batch along its first axis would count a smaller last batch as much as others."""

    def own(prediction: Any, target: Any) -> Any:
        return values(ops.abs(prediction - target))

    y = RNG.normal(size=(N, 2))
    message = (
        f"it gives values of shape {shape} for 23 samples; return their mean, a scalar, or values of each"
    )
    for trainer in (_trainer(own, 2), _trainer("mse", 2, metrics=[own])):
        assert_refused(
            trainer,
            lambda trainer=trainer: trainer.fit(
                X, y, epochs=1, batch_size=N, progress=False, sample_weight=weight
            ),
            ValueError,
            message,
        )


def test_several_values_of_each_sample_may_come_in_a_row() -> None:
    y = RNG.normal(size=(N, 2))
    trainer = _trainer(lambda prediction, target: ops.reshape(ops.abs(prediction - target), (-1,)), 2)
    expected = np.abs(forward(trainer.parameters, X) - y).mean()
    assert trainer.evaluate(X, y, batch_size=5)["loss"] == pytest.approx(expected, rel=1e-12)


class _TwoHeads(nn.Module):
    """A class and a number."""

    def __init__(self) -> None:
        self.kind, self.size = nn.Dense(C, in_features=FEATURES), nn.Dense(1, in_features=FEATURES)

    def __call__(self, x: Any) -> Any:
        return self.kind(x), self.size(x)


def test_a_model_of_several_outputs_with_a_loss_of_ones_own() -> None:
    """It gets the outputs as the model returns them, and the whole target."""
    sizes = X[:, 0] - 2 * X[:, 3]
    target = np.stack([Y, sizes], axis=1)

    def loss(outputs: Any, target: Any) -> Any:
        logits, size = outputs
        kind = losses.cross_entropy(logits, ops.cast(target[:, 0], "int64"), "none")
        return kind + 0.5 * losses.huber(size, target[:, 1:], "none")[:, 0]

    def right(outputs: Any, target: Any) -> Any:
        return bp.metrics.accuracy(outputs[0], ops.cast(target[:, 0], "int64"))

    model = _TwoHeads()
    trainer = bp.Trainer(model, loss, optim.Adam(0.05), metrics=[right], dtype="float64")
    logits, size = trainer.predict(X)
    assert (logits.shape, size.shape) == ((N, C), (N, 1))
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(N), Y]
    d = np.abs(size[:, 0] - sizes)
    each = each + 0.5 * np.where(d <= 1, d**2 / 2, d - 0.5)
    for weight in (None, SAMPLES):
        found = trainer.evaluate(X, target, batch_size=5, sample_weight=weight)
        assert found["loss"] == pytest.approx(np.average(each, weights=weight), rel=1e-12)
        assert found["right"] == pytest.approx(np.average(logits.argmax(axis=1) == Y, weights=weight))
    trainer.fit(X, target, epochs=100, batch_size=5, progress=False)
    assert trainer.evaluate(X, target)["loss"] < 0.6 * each.mean()
    assert np.abs(trainer.predict(X)[1][:, 0] - sizes).mean() < 0.2


@pytest.mark.parametrize("name", ["mse", "cross_entropy", "nll", "hinge", "cosine_similarity"])
def test_losses_of_one_output_refuse_several(name: str) -> None:
    trainer = bp.Trainer(_TwoHeads(), name)
    message = f"{name}: expected one prediction, got a tuple of them"
    y = np.ones((N, 1)) if name == "cosine_similarity" else np.ones(N, np.int64)
    assert_refused(trainer, lambda: trainer.fit(X, y, epochs=1, progress=False), TypeError, message)
