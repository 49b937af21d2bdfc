"""Mixup as a step of training: sums of neighbours by one random share for the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.training.problems import bits, blobs


def _shares(x: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """The share that each element shows: mixed = share · x + (1 - share) · next."""
    following = np.roll(x, -1, axis=0)
    return (mixed - following) / (x - following)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [2, 3, 8])
def test_one_share_for_samples_and_targets(rows: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 3, 2)).astype(dtype), rng.normal(size=(rows, 4)).astype(dtype)
    with bp.training(5):
        mixed_x, mixed_y = bp.data.mixup(x, y, alpha=1.0)
    assert (mixed_x.shape, mixed_x.dtype, mixed_y.shape, mixed_y.dtype) == (x.shape, dtype, y.shape, dtype)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    share = float(_shares(x, mixed_x).flat[0])
    assert 0 < share < 1
    np.testing.assert_allclose(_shares(x, mixed_x), share, rtol=tolerance)
    np.testing.assert_allclose(_shares(y, mixed_y), share, rtol=tolerance)


def test_one_sample_is_mixed_with_itself() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array([3.0])
    with bp.training(5):
        mixed_x, mixed_y = bp.data.mixup(x, y)
    np.testing.assert_allclose(mixed_x, x)
    np.testing.assert_allclose(mixed_y, y)


def test_seeds_have_shares_of_their_own() -> None:
    """Of Beta(1, 1), which is uniform: mean 1/2, variance 1/12, within five standard errors."""
    x, y = np.array([[0.0], [1.0]]), np.zeros(2)
    shares = []
    for seed in range(500):
        with bp.training(seed):
            shares.append(float(bp.data.mixup(x, y, alpha=1.0)[0][1, 0]))
    assert len(set(shares)) == 500
    assert abs(np.mean(shares) - 0.5) < 5 * np.sqrt(1 / 12 / 500)
    assert abs(np.var(shares) - 1 / 12) < 5 * np.sqrt(1 / 180 / 500)


def test_derivatives() -> None:
    rng = np.random.default_rng(0)
    with bp.training(5):
        bp.check_gradients(
            lambda x, y: ops.sum(ops.exp(ops.sum(ops.concatenate(bp.data.mixup(x, y, 2.0), 1), 1))),
            rng.normal(size=(4, 3)),
            rng.normal(size=(4, 2)),
        )


def test_inference_is_the_identity() -> None:
    x, y = np.arange(6).reshape(3, 2), np.ones(3)
    same_x, same_y = bp.data.mixup(x, y)
    np.testing.assert_array_equal(same_x, x)
    np.testing.assert_array_equal(same_y, y)


def _objective(model: Any, x: Any, y: Any) -> Any:
    x, y = bp.data.mixup(x, ops.one_hot(y, 3), alpha=0.5)
    return losses.cross_entropy(model(x), y)


def _trainer(seed: int = 0) -> bp.Trainer:
    model = nn.Sequential(nn.Dense(20, "relu", in_features=4), nn.Dropout(0.1), nn.Dense(3, in_features=20))
    return bp.Trainer(model, objective=_objective, optimizer=optim.Adam(1e-2), seed=seed)


def test_training_with_it() -> None:
    x, y = blobs()
    trainer, again = _trainer(), _trainer()
    for each in (trainer, again):
        each.fit((x, y), epochs=20, batch_size=10, progress=False)
    assert bits(trainer) == bits(again)
    assert (trainer.predict(x).argmax(axis=1) == y).all()
    # Evaluation takes the samples as they are.
    logits = trainer.predict(x).astype(np.float64)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y])
    np.testing.assert_allclose(trainer.evaluate((x, y))["loss"], expected, rtol=1e-5)


def test_each_step_has_its_share() -> None:
    """One linear weight without a loss of its own: the gradient is the mixed batch, which shows the share."""

    class Weight(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter((1,), init="zeros")

        def __call__(self, x: Any) -> Any:
            return x * self.weight

    def objective(model: Any, x: Any) -> Any:
        return ops.sum(model(bp.data.mixup(x, x, 1.0)[0])[1])

    trainer = bp.Trainer(Weight(), objective=objective, optimizer=optim.SGD(0.0), seed=2)
    x = np.array([[0], [1]])  # integers become floats
    shares = []
    for _ in range(10):
        shares.append(float(trainer.gradients(np.float32(x))["weight"][0]))
        trainer.step(np.float32(x))
    assert len(set(shares)) == 10
    assert all(0 < share < 1 for share in shares)


def test_integers_become_floats() -> None:
    with bp.training(5):
        mixed, _ = bp.data.mixup(np.arange(6).reshape(3, 2), np.ones(3, np.float32))
    assert mixed.dtype == np.float32


@pytest.mark.parametrize(
    ("x", "y", "alpha", "error", "message"),
    [
        (np.ones((3, 2)), np.ones(2), 0.2, ValueError, r"shapes \(3, 2\) and \(2,\)"),
        (np.ones(()), np.ones(()), 0.2, ValueError, "one row a sample"),
        (np.ones((3, 2)), np.arange(3), 0.2, TypeError, "y must hold floats, .* not int64"),
        (np.ones((3, 2)), np.ones(3), 0.0, ValueError, "alpha must be finite and above 0, got 0"),
        (np.ones((3, 2)), np.ones(3), -1.0, ValueError, "alpha must be .*, got -1.0"),
        (np.ones((3, 2)), np.ones(3), float("nan"), ValueError, "alpha must be .*, got nan"),
        (np.ones((3, 2)), np.ones(3), True, TypeError, "alpha must be a number, got True"),
    ],
)
def test_wrong_arguments(x: Any, y: Any, alpha: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^mixup: .*{message}"):
        bp.data.mixup(x, y, alpha)
