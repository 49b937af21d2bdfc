"""class_weight of fit: what each sample then weighs, by the steps that it makes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.training.problems import bits, blobs, network
from tests.training.refusal import assert_refused, trained

X, Y = blobs(40)
Y = np.where(np.arange(40) % 4 == 0, 0, Y)  # classes of unequal size
SIGNS = (Y == 1).astype(int)
EACH = np.array([0.5, 2.0, 3.0])
WEIGHTS = np.random.default_rng(1).uniform(0.1, 3, 40)


def _trained(
    y: Any, loss: Any = "cross_entropy", units: int = 3, rows: Any = slice(None), **options: Any
) -> tuple[bytes, list[float]]:
    trainer = bp.Trainer(network(6, units), loss, optim.Adam(0.01), dtype="float64")
    history = trainer.fit(X[rows], y, epochs=2, batch_size=16, progress=False, **options)
    return bits(trainer), history["loss"]


GIVEN: dict[str, tuple[Any, np.ndarray]] = {
    "dict": ({0: 0.5, 1: 2.0, 2: 3.0}, EACH[Y]),
    "dict of some, the others weigh 1": ({2: 3.0}, np.where(Y == 2, 3.0, 1.0)),
    "dict of NumPy's integers": ({np.int64(2): np.float32(3.0)}, np.where(Y == 2, 3.0, 1.0)),
    "list": ([0.5, 2, 3], EACH[Y]),
    "array": (EACH, EACH[Y]),
    "array of more classes": (np.array([0.5, 2.0, 3.0, 7.0]), EACH[Y]),
    "balanced": ("balanced", 40 / (3 * np.bincount(Y))[Y]),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("given", GIVEN)
def test_it_is_the_sample_weight_of_each_class(given: str, shuffle: bool) -> None:
    class_weight, weight = GIVEN[given]
    expected = _trained(Y, sample_weight=weight, shuffle=shuffle)
    assert _trained(Y, class_weight=class_weight, shuffle=shuffle) == expected
    assert expected != _trained(Y, shuffle=shuffle)


def test_it_multiplies_the_sample_weight() -> None:
    expected = _trained(Y, sample_weight=WEIGHTS * EACH[Y])
    assert _trained(Y, class_weight=EACH, sample_weight=WEIGHTS) == expected


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    weight = sklearn.compute_sample_weight("balanced", Y)
    assert _trained(Y, class_weight="balanced") == _trained(Y, sample_weight=weight)


@pytest.mark.parametrize("kept", [np.arange(40), np.arange(30)])
def test_balanced_weights_multiply_those_of_samples_which_do_not_balance_them(kept: np.ndarray) -> None:
    """Classes are balanced by how many samples there are to train on, however little these weigh."""
    counts = np.bincount(Y[kept])
    given = np.where(np.arange(40) == 3, 0.0, WEIGHTS)
    weight = given * (len(kept) / (3 * counts))[Y]
    split = {"validation_split": 1 - len(kept) / 40}
    expected = _trained(Y[kept], sample_weight=weight[kept], rows=kept)
    found = _trained(Y, class_weight="balanced", sample_weight=given, **split)
    assert found == expected
    assert found != _trained(Y, class_weight="balanced", **split)


@pytest.mark.parametrize(
    ("y", "loss", "units"),
    [
        (Y.astype(np.uint8), "cross_entropy", 3),
        (np.eye(3)[Y], "cross_entropy", 3),
        (np.eye(3, dtype=int)[Y], "mse", 3),
        (np.eye(3, dtype=bool)[Y], "binary_cross_entropy", 3),
    ],
)
def test_targets_may_be_one_hot(y: Any, loss: str, units: int) -> None:
    assert _trained(y, loss, units, class_weight=EACH) == _trained(y, loss, units, sample_weight=EACH[Y])


@pytest.mark.parametrize(
    ("y", "loss", "classes"),
    [
        (SIGNS, "binary_cross_entropy", {1: 3.0}),
        (SIGNS[:, None], "binary_cross_entropy", {1: 3.0}),
        (SIGNS.astype(float), "binary_cross_entropy", [1.0, 3.0]),
        (SIGNS.astype(bool)[:, None], "binary_cross_entropy", {True: 3}),
        (2.0 * SIGNS - 1, "hinge", {1: 3.0, -1: 1.0}),
    ],
)
def test_targets_may_be_of_two_classes(y: Any, loss: str, classes: Any) -> None:
    weight = np.where(SIGNS == 1, 3.0, 1.0)
    assert _trained(y, loss, 1, class_weight=classes) == _trained(y, loss, 1, sample_weight=weight)


def test_a_class_that_the_loss_ignores_takes_no_part_in_the_balance() -> None:
    y = np.where(np.arange(40) % 5 == 0, -100, Y)
    loss = functools.partial(losses.cross_entropy, ignore_index=-100)
    sizes = np.bincount(y[y >= 0])
    weight = np.where(y >= 0, sizes.sum() / (3 * sizes)[np.maximum(y, 0)], 1.0)
    assert _trained(y, loss, class_weight="balanced") == _trained(y, loss, sample_weight=weight)


@pytest.mark.parametrize("split", [{"validation_split": 0.25}, {"validation_split": 0.25, "stratify": True}])
def test_validation_is_not_weighted_by_class(split: dict[str, Any]) -> None:
    """What is kept back weighs its sample weight; the balance is that of what is trained on."""
    order = np.argsort(Y, kind="stable")  # the last ones are of one class
    x, y, own = X[order], Y[order], WEIGHTS[order]
    plain, weighted = (bp.Trainer(network(6, 3), "cross_entropy", optim.SGD(0.0)) for _ in range(2))
    options: dict[str, Any] = {"epochs": 1, "sample_weight": own, "progress": False, **split}
    first = plain.fit(x, y, **options)
    second = weighted.fit(x, y, class_weight={0: 5.0}, **options)
    assert first["val_loss"] == second["val_loss"]
    assert first["loss"] != second["loss"]
    assert weighted.evaluate(x, y) == plain.evaluate(x, y)


def test_the_balance_is_that_of_the_samples_trained_on() -> None:
    order = np.argsort(Y, kind="stable")
    x, y = X[order], Y[order]
    split = bp.Trainer(network(6, 3), "cross_entropy")
    split.fit(x, y, epochs=2, class_weight="balanced", validation_split=0.25, progress=False)
    head = bp.Trainer(network(6, 3), "cross_entropy")
    head.fit(x[:30], y[:30], epochs=2, class_weight="balanced", progress=False)
    assert bits(split) == bits(head)


def test_a_scalar_loss_cannot_be_weighted() -> None:
    def scalar(prediction: Any, target: Any) -> Any:
        return losses.cross_entropy(prediction, target)

    trainer = bp.Trainer(network(3), scalar)
    with pytest.raises(ValueError, match="a scalar for the whole batch, so samples can't be weighted"):
        trainer.fit(X, Y, epochs=1, class_weight=EACH, progress=False)


@pytest.mark.parametrize(
    ("given", "error", "fragment"),
    [
        ({3: 1.0}, ValueError, "class_weight has the class 3, which no sample has; there are 0, 1, 2"),
        ({"a": 1.0}, TypeError, "its keys are classes, integers, got 'a'"),
        ({0: -1.0}, ValueError, "class_weight: of class 0 must be finite and at least 0, got -1.0"),
        ({0: np.nan}, ValueError, "of class 0 must be finite"),
        ({0: "1"}, TypeError, "of class 0 must be a number, got '1'"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "no sample has a weight above 0"),
        ({0: 1e39}, ValueError, "a sample's weight of 1e+39 overflows float32"),
        ([1.0, 2.0], ValueError, "has weights for the classes 0 to 1, but a sample has 2"),
        ([[1.0, 2.0, 3.0]], ValueError, "one weight for each class, got shape (1, 3)"),
        (2.0, ValueError, "one weight for each class, got shape ()"),
        ([1.0, 2.0, -1.0], ValueError, "of class 2 must be finite and at least 0"),
        ("balance", ValueError, "must be weights by class or \"balanced\", got 'balance'"),
        (object(), TypeError, "class_weight: expected numbers, got object"),
    ],
)
def test_bad_class_weights(given: Any, error: type[Exception], fragment: str) -> None:
    trainer = trained()
    assert_refused(
        trainer, lambda: trainer.fit(X, Y, epochs=1, class_weight=given, progress=False), error, fragment
    )


@pytest.mark.parametrize(
    ("y", "loss", "fragment"),
    [
        (X[:, 0], "mse", "needs targets that are classes, but those here are floats"),
        (
            X[:, :3],
            "mse",
            "targets of shape (40, 3) are neither classes of shape (samples,) nor one-hot rows",
        ),
        (np.eye(3)[Y] * 0.9, "mse", "neither classes"),
        (np.ones((40, 3), int), "binary_cross_entropy", "neither classes"),
    ],
)
def test_targets_without_classes(y: Any, loss: str, fragment: str) -> None:
    trainer = bp.Trainer(network(1 if y.ndim == 1 else 3, in_features=4), loss)
    assert_refused(
        trainer,
        lambda: trainer.fit(X, y, epochs=1, class_weight="balanced", progress=False),
        TypeError,
        fragment,
    )


def test_tokens_are_not_one_class_a_sample() -> None:
    """Even where they look like one-hot rows."""
    y = np.eye(2, dtype=int)[np.arange(40) % 2]
    trainer = bp.Trainer(network(3), "cross_entropy")
    x = np.repeat(X[:, None], 2, axis=1)
    trainer.fit(x, y, epochs=1, progress=False)
    with pytest.raises(TypeError, match="needs one class a sample, but targets of shape"):
        trainer.fit(x, y, epochs=1, class_weight={1: 2.0}, progress=False)


def test_it_needs_one_target() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(3)

        def __call__(self, x: Any) -> Any:
            return {"a": self.dense(x), "b": -self.dense(x)}

    trainer = bp.Trainer(Both(), {"a": "cross_entropy", "b": "cross_entropy"})
    with pytest.raises(TypeError, match="class_weight is for one target, but y has several"):
        trainer.fit(X, {"a": Y, "b": Y}, epochs=1, class_weight=EACH, progress=False)
    own = bp.Trainer(network(3), objective=lambda model, x: ops.mean(model(x)))
    with pytest.raises(TypeError, match="which an objective doesn't have"):
        own.fit(X, epochs=1, class_weight=EACH, progress=False)
