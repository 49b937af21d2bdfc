"""Metrics of numbers, in batches, beside scikit-learn's functions of all samples at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore import metrics
from tests.metrics.models import everywhere, fixed

sklearn = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(2)
N = 45
TARGET = RNG.normal(size=(N, 3)) * [1, 10, 0.1] + 2
PREDICTION = TARGET + 0.5 * RNG.normal(size=(N, 3))
WEIGHT = RNG.uniform(size=N)
FUNCTIONS = {
    "mae": sklearn.mean_absolute_error,
    "mape": sklearn.mean_absolute_percentage_error,
    "mse": sklearn.mean_squared_error,
    "r2": sklearn.r2_score,
}
weighted = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])


def expected_of(x: Any, y: Any, weight: Any) -> dict[str, float]:
    found = {name: function(y, x, sample_weight=weight) for name, function in FUNCTIONS.items()}
    columns = zip(x.reshape(len(x), -1).T, y.reshape(len(y), -1).T, strict=True)
    roots = [np.sqrt(sklearn.mean_squared_error(b, a, sample_weight=weight)) for a, b in columns]
    return {**found, "rmse": float(np.mean(roots))}


@weighted
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_errors(loss: str, outputs: int, weight: Any) -> None:
    x, y = PREDICTION[:, :outputs], TARGET[:, :outputs]
    expected = expected_of(x, y, weight)
    for values in everywhere(fixed(loss, outputs, list(expected)), x, y, weight):
        assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_target_may_lack_the_last_axis_and_hold_integers() -> None:
    x, y = PREDICTION[:, :1], TARGET[:, 0].round().astype(int)
    expected = expected_of(x[:, 0], y, None)
    assert expected["mse"] > 0
    values = fixed("mse", 1, list(expected)).evaluate(x, y, batch_size=7)
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_outputs_are_the_last_axis() -> None:
    x, y = RNG.normal(size=(2, N, 4, 3))
    values = fixed("mse", 3, ["r2", "rmse"]).evaluate(x, y, batch_size=7)
    flat = expected_of(x.reshape(-1, 3), y.reshape(-1, 3), None)
    assert values["r2"] == pytest.approx(flat["r2"], rel=1e-12)
    assert values["rmse"] == pytest.approx(flat["rmse"], rel=1e-12)


@pytest.mark.parametrize(("spread", "tolerance"), [(1.0, 1e-4), (100.0, 1e-8)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@weighted
def test_a_large_mean_takes_no_digits(weight: Any, dtype: str, spread: float, tolerance: float) -> None:
    """Sums of squares in float64 would lose the variance: (μ / σ)² is 1e12. Of float32, all is exact."""
    y = (1e6 + spread * RNG.normal(size=(500, 1))).astype(dtype)
    x = (y + 0.3 * spread * RNG.normal(size=(500, 1))).astype(dtype)
    weight = None if weight is None else RNG.uniform(size=500).astype(dtype)
    expected = expected_of(x.astype(float), y.astype(float), weight)
    values = fixed("mse", 1, ["r2", "rmse", "mae"], dtype=dtype).evaluate(
        x, y, batch_size=7, sample_weight=weight
    )
    exact = dtype == "float32" and weight is None
    assert values["rmse"] == pytest.approx(expected["rmse"], rel=1e-12)
    assert values["mae"] == pytest.approx(expected["mae"], rel=1e-12)
    assert values["r2"] == pytest.approx(expected["r2"], abs=1e-12 if exact else tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
@weighted
def test_r2_of_equal_targets_says_whether_all_is_right(weight: Any, value: float, dtype: str) -> None:
    y = np.full((N, 1), value, dtype)
    assert metrics.R2()(y, y, weight) == 1
    assert metrics.R2()(y + np.asarray(0.5, dtype), y, weight) == 0
    y[0] += 1
    assert metrics.R2()(y, y, weight) == 1
    assert metrics.R2()(y + np.asarray(0.5, dtype), y, weight) not in (0, 1)


def test_what_is_not_finite_has_no_r2() -> None:
    x = np.array([[np.inf], [1.0]])
    assert np.isnan(metrics.R2()(x, np.array([[1.0], [2.0]])))
    assert metrics.MSE()(x, np.array([[1.0], [2.0]])) == np.inf


def test_shapes_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(ValueError, match=r"r2: the prediction has shape \(45, 3\), the target \(45, 1\)"):
        metrics.R2()(PREDICTION, TARGET[:, :1])
    trainer = fixed(lambda p, t: (p[:, :1] - t) ** 2, 3, [metrics.MAE(name="far")])
    with pytest.raises(ValueError, match=r"far: the prediction has shape \(32, 3\), the target \(32, 1\)"):
        trainer.fit(PREDICTION, TARGET[:, :1], epochs=1, progress=False)
    assert trainer.steps == 0
