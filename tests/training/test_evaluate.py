"""evaluate and predict: NumPy's values whatever the batches, and nothing changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from tests.training.problems import bits, blobs, cross_entropy, forward, network, regression


def _trainer(*units: int, dtype: str = "float64", loss: Any = "cross_entropy", **options: Any) -> bp.Trainer:
    return bp.Trainer(network(*units, in_features=4), loss, optim.Adam(0.01), dtype=dtype, **options)


# evaluate


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("batch_size", [1, 7, 96, 1000])
def test_evaluate_is_numpys_value_whatever_the_batches(dtype: str, tolerance: float, batch_size: int) -> None:
    x, y = blobs()
    trainer = _trainer(8, 3, dtype=dtype, metrics=["accuracy"])
    logits = forward(trainer.parameters, x)
    values = trainer.evaluate(x, y, batch_size=batch_size)
    assert values["loss"] == pytest.approx(cross_entropy(logits, y).mean(), rel=tolerance)
    assert values["accuracy"] == pytest.approx((logits.argmax(axis=1) == y).mean(), rel=1e-12)


def test_evaluate_changes_nothing_and_reports_what_is_not_finite() -> None:
    x, y = regression(10)
    trainer = bp.Trainer(network(2, in_features=3), "mse", dtype="float64")
    before = bits(trainer)
    assert trainer.evaluate(1e300 * x, y)["loss"] == np.inf
    assert bits(trainer) == before
    assert trainer.steps == trainer.epochs == 0


# predict


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rows_prediction_does_not_depend_on_the_rest_of_its_batch(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, 37)).astype(dtype)
    model = network(45, 33, 10, activation="relu", in_features=37)
    trainer = bp.Trainer(model, "cross_entropy", dtype=dtype)
    whole = trainer.predict(x)
    assert whole.shape == (70, 10)
    assert whole.dtype == dtype
    for batch_size in (1, 3, 16, 64, 69):
        assert trainer.predict(x, batch_size=batch_size).tobytes() == whole.tobytes(), batch_size
    shuffled = rng.permutation(70)
    assert trainer.predict(x[shuffled]).tobytes() == whole[shuffled].tobytes()
    assert model(x).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_is_numpys_value(dtype: str) -> None:
    x, _ = blobs()
    trainer = _trainer(8, 6, 3, dtype=dtype)
    expected = forward(trainer.parameters, x)
    np.testing.assert_allclose(
        trainer.predict(x), expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13
    )


def test_predict_returns_the_structure_that_the_model_returns() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(3, in_features=4)

        def __call__(self, x: Any) -> Any:
            logits = self.dense(x)
            return {"logits": logits, "parts": (ops.softmax(logits), ops.argmax(logits))}

    x, _ = blobs(30)
    trainer = bp.Trainer(Both(), objective=lambda model, v: ops.mean(model(v)["logits"] ** 2))
    result = trainer.predict(x, batch_size=8)
    expected = trainer.model(x)
    assert list(result) == ["logits", "parts"]
    np.testing.assert_array_equal(result["logits"], expected["logits"])
    np.testing.assert_array_equal(result["parts"][0], expected["parts"][0])
    np.testing.assert_array_equal(result["parts"][1], result["logits"].argmax(axis=1))


def test_results_belong_to_the_caller() -> None:
    x, y = blobs(10)
    trainer = _trainer(3)
    first = trainer.predict(x)
    kept = first.copy()
    trainer.step(x, y)
    second = trainer.predict(x)
    np.testing.assert_array_equal(first, kept)
    assert (second != first).any()
    assert first.flags.writeable
