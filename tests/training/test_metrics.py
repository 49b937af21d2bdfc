"""Metrics: what "accuracy" compares, by loss and shapes, and functions of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, metrics, ops
from tests.training.problems import blobs, network

DTYPES = ["float32", "float64", "int64", "bool"]
LOGITS = np.array([[-2.0, 0.3, 0.8], [0.4, -1.0, 2.0]])
SIDES = np.array([[0, 0, 1], [1, 0, 1]])  # the second logit is on the wrong side


# Functions


@pytest.mark.parametrize("dtype", DTYPES)
def test_accuracy_of_classes_does_not_depend_on_the_targets_dtype(dtype: str) -> None:
    prediction = np.array([[0.1, 0.7, 0.2], [3.0, -1.0, 2.0], [0.2, 0.3, 0.9]])
    one_hot = np.eye(3)[[1, 0, 0]].astype(dtype)
    assert metrics.accuracy(prediction, one_hot).tolist() == [True, True, False]
    assert metrics.accuracy(prediction, np.array([1, 0, 0])).tolist() == [True, True, False]


def test_accuracy_of_soft_targets_is_of_the_largest() -> None:
    prediction = np.array([[0.1, 0.7], [0.9, 0.3]])
    assert metrics.accuracy(prediction, np.array([[0.4, 0.6], [0.2, 0.8]])).tolist() == [True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "target_shape"), [((4,), (4,)), ((4, 1), (4, 1)), ((4, 1), (4,))])
def test_accuracy_of_a_single_output_is_of_the_nearest_of_0_and_1(
    dtype: str, shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> None:
    prediction = np.array([-0.5, 0.4, 0.6, 1.7]).reshape(shape)
    target = np.array([0, 1, 1, 0]).astype(dtype).reshape(target_shape)
    assert metrics.accuracy(prediction, target).ravel().tolist() == [True, False, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_accuracy_is_of_each_element(dtype: str) -> None:
    expected = [[True, False, True], [True, True, True]]
    assert metrics.binary_accuracy(LOGITS, SIDES.astype(dtype)).tolist() == expected
    probabilities = 1 / (1 + np.exp(-LOGITS))
    assert metrics.binary_accuracy(probabilities, SIDES.astype(dtype), threshold=0.5).tolist() == expected


def test_lists_are_data_too() -> None:
    assert metrics.accuracy([[0.2], [0.9]], [1, 1]).ravel().tolist() == [False, True]
    assert metrics.binary_accuracy([0.2, -0.9], [1, 1]).tolist() == [True, False]


def test_shapes_that_do_not_belong_together_raise() -> None:
    with pytest.raises(ValueError, match=r"accuracy: .*\(2, 3\), the target \(3,\)"):
        metrics.accuracy(LOGITS, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"binary_accuracy: .*\(2, 3\), the target \(2,\)"):
        metrics.binary_accuracy(LOGITS, np.zeros(2))
    with pytest.raises(TypeError, match="are classes, integers, not float64"):
        metrics.accuracy(LOGITS, np.zeros(2))


# In a trainer


def _fixed(loss: Any, width: int, names: Any = ("accuracy",), **options: Any) -> bp.Trainer:
    """A trainer whose model gives back its input."""
    trainer = bp.Trainer(
        network(width, in_features=width), loss, metrics=names, **{"dtype": "float64", **options}
    )
    trainer.parameters["0.weight"][...] = np.eye(width)
    return trainer


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["binary_cross_entropy", losses.binary_cross_entropy])
def test_accuracy_with_binary_cross_entropy_is_of_each_logit(loss: Any, dtype: str) -> None:
    found = _fixed(loss, 3).evaluate(LOGITS, SIDES.astype(dtype))
    assert found["accuracy"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_accuracy_with_mse_is_of_the_nearest_of_0_and_1(dtype: str) -> None:
    x = np.array([[-0.5], [0.4], [0.6], [1.7]])
    assert _fixed("mse", 1).evaluate(x, np.array([0, 0, 1, 0]).astype(dtype))["accuracy"] == 0.75


@pytest.mark.parametrize("dtype", DTYPES)
def test_accuracy_with_mse_of_one_hot_targets_is_of_classes(dtype: str) -> None:
    assert _fixed("mse", 3).evaluate(LOGITS, np.eye(3)[[2, 0]].astype(dtype))["accuracy"] == 0.5


def test_binary_accuracy_has_a_name_with_any_loss() -> None:
    found = _fixed("mse", 3, ["accuracy", "binary_accuracy"]).evaluate(LOGITS, SIDES)
    assert found["binary_accuracy"] == pytest.approx(5 / 6)
    assert found["accuracy"] == 0.5


def test_a_saved_accuracy_is_the_same_one_again(tmp_path: Any) -> None:
    trainer = _fixed("binary_cross_entropy", 3)
    trainer.save(tmp_path / "named")
    again = bp.Trainer.load(tmp_path / "named", network(3))
    assert again.evaluate(LOGITS, SIDES) == trainer.evaluate(LOGITS, SIDES)
    other = _fixed("binary_cross_entropy", 3, [metrics.accuracy])  # not what the name means here
    other.save(tmp_path / "function")
    with pytest.raises(ValueError, match="give metrics= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "function", network(3))


# Functions of one's own


def absolute(prediction: Any, target: Any) -> Any:
    return ops.abs(prediction - target)


def squared(prediction: Any, target: Any) -> Any:
    return ops.mean((prediction - target) ** 2)


COLUMN = np.array([[1.0], [2.0], [4.0]])
TARGET = np.array([1.0, 3.0, 1.0])


def test_own_functions_get_the_target_in_the_predictions_shape() -> None:
    """A target (n,) against a prediction (n, 1) would broadcast to (n, n)."""
    found = _fixed(absolute, 1, [squared]).evaluate(COLUMN, TARGET)
    assert found == {"loss": pytest.approx(4 / 3), "squared": pytest.approx(10 / 3)}
    assert _fixed(squared, 1, [absolute]).evaluate(COLUMN, TARGET[:, None])["loss"] == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    "function",
    [
        lambda p, t: p[:, 0] - t,
        lambda p, t: ops.mean((p[:, 0] - t) ** 2),  # a scalar, so only what is on the way gives it away
        lambda p, t: ops.reshape(p, (1, -1)) - ops.reshape(t, (-1, 1)),
    ],
)
@pytest.mark.parametrize("metric", [False, True])
def test_own_functions_that_broadcast_are_refused(function: Callable[..., Any], metric: bool) -> None:
    trainer = _fixed("mse", 1, [function]) if metric else _fixed(function, 1, [])
    before = trainer.snapshot()[0]
    with pytest.raises(ValueError, match=r"prediction of shape \(3, 1\).* \(given as \(3,\)\) to \(3, 3\)"):
        trainer.fit(COLUMN, TARGET, epochs=1, progress=False)
    assert (trainer.snapshot()[0] == before).all()


def test_values_larger_than_both_are_refused_whatever_the_target() -> None:
    trainer = _fixed(lambda p, t: p[:, 0] - t, 1, [])
    with pytest.raises(ValueError, match=r"to \(3, 3\); give both the same shape"):
        trainer.evaluate(COLUMN, TARGET[:, None])


def test_a_loss_of_pairs_that_is_reduced_is_nobodys_mistake() -> None:
    def pairs(prediction: Any, target: Any) -> Any:
        return ops.mean((prediction - ops.transpose(target)) ** 2)

    expected = ((COLUMN - TARGET) ** 2).mean()
    assert _fixed(pairs, 1, []).evaluate(COLUMN, TARGET[:, None])["loss"] == pytest.approx(expected)


def test_own_functions_of_classes_get_them_as_they_are() -> None:
    def shapes(prediction: Any, target: Any) -> Any:
        assert (prediction.shape, target.shape) == ((30, 3), (30,))
        return losses.cross_entropy(prediction, target)

    bp.Trainer(network(3), shapes).evaluate(*blobs(30))
