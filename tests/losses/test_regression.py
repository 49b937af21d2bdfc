"""mse, mae, huber, smooth_l1, log_cosh, quantile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bpcore import losses
from tests.losses.agreement import DTYPES, check_loss, slopes

RNG = np.random.default_rng(0)
P, T = 2 * RNG.normal(size=(7, 3)), 2 * RNG.normal(size=(7, 3))

# What the losses are, of the difference d = prediction - target.
Formula = Callable[[np.ndarray], np.ndarray]


def _huber(d: np.ndarray, delta: float) -> np.ndarray:
    a = np.abs(d)
    with np.errstate(over="ignore"):
        return np.where(a <= delta, 0.5 * d * d, delta * (a - 0.5 * delta))


def _log_cosh(d: np.ndarray) -> np.ndarray:
    """log(cosh d) = log1p(2·sinh²(d/2)), for large d as their sum of logarithms."""
    a = np.abs(d)
    small = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    return np.where(a < 1, small, a + np.log1p(np.exp(-2 * a)) - np.log(2))


CASES: list[tuple[Any, dict[str, Any], Formula]] = [
    (losses.mse, {}, lambda d: d**2),
    (losses.mae, {}, np.abs),
    (losses.huber, {}, lambda d: _huber(d, 1)),
    (losses.huber, {"delta": 0.3}, lambda d: _huber(d, 0.3)),
    (losses.huber, {"delta": 1e6}, lambda d: 0.5 * d**2),
    (losses.smooth_l1, {}, lambda d: _huber(d, 1)),
    (losses.smooth_l1, {"beta": 0.3}, lambda d: _huber(d, 0.3) / 0.3),
    (losses.smooth_l1, {"beta": 0}, np.abs),
    (losses.log_cosh, {}, _log_cosh),
    (losses.quantile, {}, lambda d: 0.5 * np.abs(d)),
    (losses.quantile, {"q": 0.9}, lambda d: np.where(d <= 0, -0.9 * d, 0.1 * d)),
    (losses.quantile, {"q": 0.2}, lambda d: np.maximum(-0.2 * d, 0.8 * d)),
]
IDS = [" ".join([loss.__name__, *(f"{k}={v}" for k, v in options.items())]) for loss, options, _ in CASES]
each_case = pytest.mark.parametrize(("loss", "options", "formula"), CASES, ids=IDS)


@each_case
@pytest.mark.parametrize("shape", [(21,), (7, 3), (7, 3, 1)])
def test_values_and_derivatives(loss: Any, options: Any, formula: Formula, shape: tuple[int, ...]) -> None:
    check_loss(loss, lambda p, t: formula(p - t), P.reshape(shape), T.reshape(shape), **options)


@each_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes_are_finite_and_right(loss: Any, options: Any, formula: Formula, dtype: str) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    points = np.array([0, 1, -1, 1e4, -1e4, tiny, -tiny, 8 * tiny, 1e-5, 1e-3, 0.4999, 0.5, 0.5001], dtype)
    p, t = (each.ravel() for each in np.meshgrid(points, points))
    value, slope = loss(p, t, "none", **options), slopes(loss, p, t, **options)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    d = (p - t).astype(np.float64)
    np.testing.assert_allclose(value, formula(d), rtol=64 * np.finfo(dtype).eps, atol=16 * tiny)
    np.testing.assert_array_equal(slope[d == 0], 0)
    np.testing.assert_array_equal(np.sign(slope[np.abs(d) > 1e-4]), np.sign(d[np.abs(d) > 1e-4]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_of_differences_beyond_the_corner_are_bounded(dtype: str) -> None:
    p, t = np.array([1e4, -1e4, 1e4], dtype), np.array([-1e4, 1e4, 0], dtype)
    np.testing.assert_array_equal(slopes(losses.huber, p, t, delta=2.0), [2, -2, 2])
    np.testing.assert_array_equal(slopes(losses.smooth_l1, p, t, beta=2.0), [1, -1, 1])
    np.testing.assert_array_equal(slopes(losses.log_cosh, p, t), [1, -1, 1])
    np.testing.assert_array_equal(slopes(losses.quantile, p, t, q=0.75), [0.25, -0.75, 0.25])


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_of_huber_and_log_cosh_are_those_of_their_formulas(dtype: str) -> None:
    d = np.array([-3, -1, -0.7, -0.5, -0.2, -1e-3, 1e-6, 0.3, 0.4999, 0.5, 0.9, 1, 2.5, 20], dtype)
    zero = np.zeros_like(d)
    close = {"rtol": 8 * np.finfo(dtype).eps}
    np.testing.assert_allclose(slopes(losses.huber, d, zero), np.clip(d, -1, 1), **close)
    np.testing.assert_allclose(slopes(losses.smooth_l1, d, zero, beta=0.5), np.clip(d / 0.5, -1, 1), **close)
    np.testing.assert_allclose(slopes(losses.log_cosh, d, zero), np.tanh(d.astype(np.float64)), **close)


@each_case
def test_targets_may_be_integers_and_lack_the_last_axis(loss: Any, options: Any, formula: Formula) -> None:
    p, t = P[:, :1], np.arange(7)
    np.testing.assert_allclose(loss(p, t, "none", **options), formula(p - t[:, None]), rtol=1e-13)
    np.testing.assert_allclose(loss(p[:, 0], t % 2 == 0, "none", **options), formula(p[:, 0] - (t % 2 == 0)))


def test_lists_are_data_too() -> None:
    assert losses.huber([0.0, 4.0], [1, 1]) == (0.5 + 2.5) / 2
    assert losses.mae(np.ones(2, np.float32), [1.5, 1.0]).dtype == np.float32
    assert losses.mse([1, 3], [1.5, 2.5]) == 0.25


@each_case
def test_wrong_operands_raise_and_name_the_loss(loss: Any, options: Any, formula: Formula) -> None:
    del formula
    who = loss.__name__
    with pytest.raises(ValueError, match=rf"^{who}: the prediction has shape \(7, 3\), the target \(7, 1\)"):
        loss(P, T[:, :1], **options)
    with pytest.raises(ValueError, match=rf"^{who}: .*\(7, 3\), the target \(3,\)"):
        loss(P, T[0], **options)
    with pytest.raises(TypeError, match=f"^{who}: the prediction must hold floats, got int64"):
        loss(np.arange(3), np.arange(3), **options)
    with pytest.raises(TypeError, match=f"^{who}: an array of float64 met a tensor of float32"):
        loss(P.astype(np.float32), T, **options)
    for reduction in ("avg", None, "batchmean"):
        with pytest.raises(ValueError, match=f'^{who}: reduction must be "mean", "sum" or "none", got'):
            loss(P, T, reduction, **options)


@pytest.mark.parametrize(
    ("loss", "options", "error", "message"),
    [
        (losses.huber, {"delta": -1.0}, ValueError, "huber: delta must be finite and above 0, got -1.0"),
        (losses.huber, {"delta": 0}, ValueError, "huber: delta must be finite and above 0, got 0"),
        (losses.huber, {"delta": np.nan}, ValueError, "huber: delta must be finite"),
        (losses.huber, {"delta": np.inf}, ValueError, "huber: delta must be finite"),
        (losses.huber, {"delta": "1"}, TypeError, "huber: delta must be a number, got '1'"),
        (losses.huber, {"delta": True}, TypeError, "huber: delta must be a number, got True"),
        (losses.smooth_l1, {"beta": -0.1}, ValueError, "smooth_l1: beta must be finite and at least 0"),
        (losses.smooth_l1, {"beta": None}, TypeError, "smooth_l1: beta must be a number, got None"),
        (losses.quantile, {"q": 0.0}, ValueError, "quantile: q must be in \\(0, 1\\), got 0.0"),
        (losses.quantile, {"q": 1.0}, ValueError, "quantile: q must be in \\(0, 1\\), got 1.0"),
        (losses.quantile, {"q": -0.5}, ValueError, "quantile: q must be in \\(0, 1\\), got -0.5"),
        (losses.quantile, {"q": np.nan}, ValueError, "quantile: q must be in \\(0, 1\\), got nan"),
        (losses.quantile, {"q": [0.1]}, TypeError, "quantile: q must be a number"),
    ],
)
def test_settings_out_of_range_raise(loss: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        loss(P, T, **options)


def test_the_best_constant_is_the_quantile() -> None:
    sample = np.random.default_rng(3).normal(size=999)
    candidates = np.sort(sample)
    for q in (0.1, 0.5, 0.9):
        cost = [losses.quantile(np.full(999, c), sample, q=q) for c in candidates]
        assert abs(candidates[int(np.argmin(cost))] - np.quantile(sample, q)) < 0.02
