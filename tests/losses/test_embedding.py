"""cosine_similarity, triplet_margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.losses.agreement import DTYPES, check_loss, slopes
from tests.training.problems import network

RNG = np.random.default_rng(4)
X, Y, Z = RNG.normal(size=(3, 5, 4, 3))


def _cosine(x: np.ndarray, y: np.ndarray, eps: float = 1e-8) -> np.ndarray:
    lengths = [np.maximum(np.linalg.norm(v, axis=-1), eps) for v in (x, y)]
    return np.asarray(1 - (x * y).sum(axis=-1) / (lengths[0] * lengths[1]))


@pytest.mark.parametrize("shape", [(60,), (20, 3), (5, 4, 3)])
def test_cosine_similarity(shape: tuple[int, ...]) -> None:
    check_loss(losses.cosine_similarity, _cosine, X.reshape(shape), Y.reshape(shape))
    bp.check_gradients(losses.cosine_similarity, X.reshape(shape), Y.reshape(shape))


def test_cosine_similarity_of_short_vectors_counts_them_as_eps() -> None:
    check_loss(losses.cosine_similarity, lambda x, y: _cosine(x, y, 2.0), X, Y, eps=2.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cosine_similarity_of_extremes(dtype: str) -> None:
    """Of opposite, equal and huge vectors, and of zeros, which have no direction: the cosine is 0."""
    x = np.array([[1e4, 0], [1e4, 1e4], [1e4, -1e4], [0, 0], [1, 2], [0, 0], [1e-40, 0]], dtype)
    y = np.array([[-1e4, 0], [1e4, 1e4], [1e4, 1e4], [3, 4], [0, 0], [0, 0], [1, 0]], dtype)
    value = losses.cosine_similarity(x, y, "none")
    np.testing.assert_allclose(value, [2, 0, 1, 1, 1, 1, 1], atol=4 * np.finfo(dtype).eps)
    slope = slopes(losses.cosine_similarity, x, y)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope[[0, 1, 5]], 0, atol=1e-6)
    np.testing.assert_allclose(slope[2], [-1 / 2e4, -1 / 2e4], rtol=1e-5)
    np.testing.assert_allclose(slope[3], [-0.6e8, -0.8e8], rtol=1e-5)


def _distance(x: np.ndarray, y: np.ndarray, p: int) -> Any:
    return np.linalg.norm(x - y + 1e-6, ord=p, axis=-1)


@pytest.mark.parametrize("shape", [(60,), (20, 3), (5, 4, 3)])
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_triplet_margin(shape: tuple[int, ...], p: int, swap: bool, margin: float) -> None:
    def reference(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Any:
        far = _distance(a, c, p)
        far = np.minimum(far, _distance(b, c, p)) if swap else far
        return np.maximum(0, margin + _distance(a, b, p) - far)

    arrays = [each.reshape(shape) for each in (X, Y, Z)]
    check_loss(losses.triplet_margin, reference, *arrays, margin=margin, p=p, swap=swap)
    bp.check_gradients(lambda a, b, c: losses.triplet_margin(a, b, c, margin=margin, p=p, swap=swap), *arrays)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("eps", [0, 1e-6])
def test_slopes_at_a_distance_of_0_are_finite(dtype: str, p: int, eps: float) -> None:
    anchor = np.array([[1, 2], [1e4, -1e4], [0, 0]], dtype)
    far = np.array([[4, 6], [-1e4, 1e4], [0, 0]], dtype)
    for positive in (anchor, far):
        value = losses.triplet_margin(anchor, positive, anchor, "none", p=p, eps=eps)
        expected = 1 + _distance(anchor.astype(float), positive.astype(float), p)
        np.testing.assert_allclose(value, expected, atol=1e-5, rtol=1e-6)
        for number in range(3):
            slope = bp.grad(lambda *xs: losses.triplet_margin(*xs, reduction="sum", p=p, eps=eps), number)(
                anchor, positive, anchor
            )
            assert np.isfinite(slope).all()
    slope = slopes(losses.triplet_margin, anchor, anchor, far, eps=0, margin=30000)
    np.testing.assert_allclose(slope, [[0.6, 0.8], [-(0.5**0.5), 0.5**0.5], [0, 0]], rtol=1e-6)


def test_triplet_margin_is_an_objective() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    signal, noise = np.eye(2)[kind], 5 * rng.normal(size=(3, 200, 2))
    a, b = (np.hstack([signal, noise[i]]) for i in (0, 1))
    c = np.hstack([1 - signal, noise[2]])

    def objective(model: nn.Module, a: Any, b: Any, c: Any) -> Any:
        return losses.triplet_margin(model(a), model(b), model(c))

    trainer = bp.Trainer(network(2, in_features=4), objective=objective, optimizer=optim.Adam(0.02))
    history = trainer.fit((a, b, c), epochs=60, progress=False)
    assert history["loss"][0] > 1
    assert history["loss"][-1] < 0.2


def test_cosine_similarity_learns_directions() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    turned = 7 * x @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    trainer = bp.Trainer(network(3, in_features=3), "cosine_similarity", optim.Adam(0.05))
    trainer.fit(x, turned, epochs=60, progress=False)
    assert trainer.evaluate(x, turned)["loss"] < 0.01


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: losses.cosine_similarity(X, Y[:4]),
            ValueError,
            r"cosine_similarity: .*\(5, 4, 3\).*\(4, 4, 3\)",
        ),
        (lambda: losses.cosine_similarity(1.0, 1.0), ValueError, "cosine_similarity: expected vectors"),
        (
            lambda: losses.cosine_similarity(X, Y, eps=0),
            ValueError,
            "cosine_similarity: eps must be .*above 0",
        ),
        (lambda: losses.cosine_similarity(X, Y, "avg"), ValueError, "cosine_similarity: reduction must be"),
        (lambda: losses.triplet_margin(X, Y, Z[0]), ValueError, r"triplet_margin: .*\(5, 4, 3\).*\(4, 3\)"),
        (lambda: losses.triplet_margin(X, Y[0], Z), ValueError, r"triplet_margin: .*\(5, 4, 3\).*\(4, 3\)"),
        (lambda: losses.triplet_margin(1.0, 2.0, 3.0), ValueError, "triplet_margin: expected vectors"),
        (lambda: losses.triplet_margin(X, Y, Z, p=3), ValueError, "triplet_margin: p must be 1 or 2, got 3"),
        (lambda: losses.triplet_margin(X, Y, Z, margin=0), ValueError, "triplet_margin: margin must be"),
        (lambda: losses.triplet_margin(X, Y, Z, margin=np.nan), ValueError, "triplet_margin: margin must be"),
        (
            lambda: losses.triplet_margin(X, Y, Z, eps=-1),
            ValueError,
            "triplet_margin: eps must be .*at least 0",
        ),
        (lambda: losses.triplet_margin(X, Y, Z, "avg"), ValueError, "triplet_margin: reduction must be"),
        (
            lambda: bp.Trainer(network(2, in_features=2), losses.triplet_margin),
            TypeError,
            "triplet_margin compares three arrays",
        ),
    ],
)
def test_wrong_arguments_raise(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()


def test_embeddings_are_symbolic_too() -> None:
    value, slope = bp.value_and_grad(lambda x: ops.mean(losses.cosine_similarity(x, 2 * x, "none")))(X)
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
