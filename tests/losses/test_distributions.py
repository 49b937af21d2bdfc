"""kl_divergence, poisson_nll, gaussian_nll."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from tests.losses.agreement import DTYPES, check_loss, slopes
from tests.training.problems import network

RNG = np.random.default_rng(3)
LOG_P = np.log(RNG.dirichlet(np.ones(4), 6))
Q = RNG.dirichlet(np.ones(4), 6)
Q[0] = 0, 0, 1, 0
COUNTS = RNG.poisson(3, (6, 4)).astype(np.float64)
MEAN, TARGET, VAR = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4)), RNG.uniform(0.2, 3, (6, 4))


# kl_divergence


def _kl(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.where(t > 0, t * (np.log(np.where(t > 0, t, 1)) - x), 0)


def test_kl_divergence_of_probabilities() -> None:
    check_loss(losses.kl_divergence, _kl, LOG_P, Q)


def test_kl_divergence_of_logarithms() -> None:
    check_loss(
        losses.kl_divergence, lambda x, t: np.exp(t) * (t - x), LOG_P[1:], np.log(Q[1:]), log_target=True
    )


def test_kl_divergence_of_batches_is_the_mean_of_the_divergences() -> None:
    each = _kl(LOG_P, Q).sum(axis=-1)
    assert losses.kl_divergence(LOG_P, Q, "batchmean") == pytest.approx(each.mean(), rel=1e-12)
    bp.check_gradients(lambda x: losses.kl_divergence(x, Q, "batchmean"), LOG_P)
    with pytest.raises(ValueError, match='^kl_divergence: reduction="batchmean" needs an axis'):
        losses.kl_divergence(np.float64(-1), np.float64(0.5), "batchmean")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log_target", [False, True])
def test_what_has_no_probability_does_not_matter(dtype: str, log_target: bool) -> None:
    x = np.array([-np.inf, -1e4, np.log(0.5), 0, -np.inf], dtype)
    t = np.array([0, 0, 0.5, 1, 0.25], dtype)
    with np.errstate(divide="ignore"):
        target = np.log(t) if log_target else t
    value = losses.kl_divergence(x, target, "none", log_target=log_target)
    np.testing.assert_allclose(value, [0, 0, 0, 0, np.inf], atol=1e-6)
    slope = slopes(losses.kl_divergence, x, target, log_target=log_target)
    np.testing.assert_allclose(slope, -t, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_divergence_of_nan_is_nan(dtype: str) -> None:
    nan = np.array([np.nan, 0.5], dtype)
    for x, t in ((nan, np.ones(2, dtype)), (np.zeros(2, dtype), nan)):
        assert np.isnan(losses.kl_divergence(x, t, "none")).tolist() == [True, False]


# poisson_nll


def _stirling(t: np.ndarray) -> np.ndarray:
    many = np.where(t > 1, t, 1)
    return np.where(t > 1, many * np.log(many) - many + 0.5 * np.log(2 * np.pi * many), 0)


@pytest.mark.parametrize("full", [False, True])
def test_poisson_nll(full: bool) -> None:
    def of_logarithms(x: np.ndarray, t: np.ndarray) -> Any:
        return np.exp(x) - t * x + full * _stirling(t)

    def of_rates(x: np.ndarray, t: np.ndarray) -> Any:
        return x - t * np.log(x + 1e-8) + full * _stirling(t)

    check_loss(losses.poisson_nll, of_logarithms, MEAN, COUNTS, full=full)
    check_loss(losses.poisson_nll, of_rates, VAR, COUNTS, full=full, log_input=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_poisson_nll_of_extremes(dtype: str) -> None:
    x, t = np.array([-1e4, -1e4, 0, 80], dtype), np.array([0, 3, 1, 0], dtype)
    np.testing.assert_allclose(losses.poisson_nll(x, t, "none", full=True)[:3], [0, 3e4 + _stirling(t)[1], 1])
    np.testing.assert_allclose(slopes(losses.poisson_nll, x, t, full=True), np.exp(x) - t, rtol=1e-5)
    rate = np.array([0, 1e4, 1e4], dtype)
    counts = np.array([0, 0, 1e4], dtype)
    expected = [0, 1e4, 1e4 - 1e4 * np.log(1e4)]
    found = losses.poisson_nll(rate, counts, "none", log_input=False)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = slopes(losses.poisson_nll, rate, counts, log_input=False)
    np.testing.assert_allclose(found, [1, 1, 0], atol=1e-6)
    assert np.isfinite(losses.poisson_nll(rate[:1], np.array([2], dtype), log_input=False))


def test_poisson_nll_learns_rates() -> None:
    x = np.random.default_rng(0).normal(size=(400, 1))
    y = np.random.default_rng(1).poisson(np.exp(0.5 * x[:, 0] + 1))
    trainer = bp.Trainer(network(1, in_features=1), "poisson_nll", optim.Adam(0.05))
    trainer.fit(x, y, epochs=30, progress=False)
    assert trainer.parameters["0.weight"].item() == pytest.approx(0.5, abs=0.1)
    assert trainer.parameters["0.bias"].item() == pytest.approx(1, abs=0.1)


# gaussian_nll


def _gaussian(mean: np.ndarray, target: np.ndarray, var: Any) -> Any:
    """-log of the density, without log(2π) / 2."""
    deviation = np.sqrt(var)
    return np.log(deviation) + ((target - mean) / deviation) ** 2 / 2


@pytest.mark.parametrize("var", [1.0, 2, VAR, VAR[:, :1], VAR[:1]], ids=np.shape)
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_of_a_given_variance(var: Any, full: bool) -> None:
    def reference(mean: np.ndarray, target: np.ndarray) -> Any:
        return _gaussian(mean, target, var) + full * 0.5 * np.log(2 * np.pi)

    check_loss(losses.gaussian_nll, reference, MEAN, TARGET, var=var, full=full)


@pytest.mark.parametrize("var", [VAR, VAR[:, :1]], ids=np.shape)
@pytest.mark.parametrize("log_var", [False, True])
def test_gaussian_nll_of_a_pair(var: np.ndarray, log_var: bool) -> None:
    def loss(mean: Any, spread: Any, target: Any, reduction: Any = "mean") -> Any:
        return losses.gaussian_nll((mean, spread), target, reduction, log_var=log_var)

    def reference(mean: np.ndarray, spread: np.ndarray, target: np.ndarray) -> Any:
        return _gaussian(mean, target, np.exp(spread) if log_var else spread)

    spread = np.log(var) if log_var else var
    check_loss(loss, reference, MEAN, spread, TARGET)
    bp.check_gradients(lambda mean, spread: loss(mean, spread, TARGET, "none"), MEAN, spread)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log_var", [False, True])
def test_a_variance_below_eps_counts_as_eps_and_keeps_its_slope(dtype: str, log_var: bool) -> None:
    mean, target = np.zeros(4, dtype), np.array([0, 1e4, 0.5, 0.1], dtype)
    var = np.array([0, 1e-30, 1e-12, 1e-7], dtype)
    with np.errstate(divide="ignore"):
        spread = np.maximum(np.log(var), -1e4) if log_var else var
    value = losses.gaussian_nll((mean, spread), target, "none", log_var=log_var)
    np.testing.assert_allclose(value, _gaussian(0, target.astype(float), 1e-6), rtol=1e-5)
    assert np.isfinite(value).all()
    slope = bp.grad(lambda s: losses.gaussian_nll((mean, s), target, "sum", log_var=log_var))(spread)
    by_var = 0.5 * (1 / 1e-6 - (target.astype(float) / 1e-6) ** 2)
    np.testing.assert_allclose(slope, by_var * (1e-6 if log_var else 1), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_nll_of_extremes(dtype: str) -> None:
    mean, target = np.array([1e4, -1e4, 1e4], dtype), np.array([-1e4, 1e4, 1e4], dtype)
    huge = np.full(3, 1e4, dtype)
    np.testing.assert_allclose(
        losses.gaussian_nll((mean, huge), target, "none"), _gaussian(mean, target, 1e4)
    )
    np.testing.assert_array_equal(losses.gaussian_nll((mean, huge), target, "none", log_var=True), 5e3)
    for log_var in (False, True):
        both = bp.grad(
            lambda m, s, log=log_var: losses.gaussian_nll((m, s), target, "sum", log_var=log), (0, 1)
        )
        for spread in (huge, 0 * huge):
            for slope in both(mean, spread):
                assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("prediction", "options", "error", "message"),
    [
        (MEAN, {}, TypeError, r"expected a pair \(mean, variance\), or a mean and var="),
        ((MEAN, VAR), {"var": 1.0}, TypeError, r"expected a pair \(mean, variance\), or a mean and var="),
        ((MEAN, VAR, VAR), {}, TypeError, r"expected a pair \(mean, variance\), or a mean and var="),
        ((MEAN, -VAR), {}, ValueError, "the variance must be finite and at least 0, got -"),
        (MEAN, {"var": -1}, ValueError, "the variance must be finite and at least 0, got -1"),
        (MEAN, {"var": np.nan}, ValueError, "the variance must be finite and at least 0, got nan"),
        (MEAN, {"var": np.inf, "log_var": True}, ValueError, "the variance must be finite, got inf"),
        (MEAN, {"var": VAR[:, 0]}, ValueError, r"mean has shape \(6, 4\), the variance \(6,\)"),
        (MEAN, {"var": VAR[0]}, ValueError, r"mean has shape \(6, 4\), the variance \(4,\)"),
        (MEAN, {"var": VAR[:, :2]}, ValueError, r"mean has shape \(6, 4\), the variance \(6, 2\)"),
        ((MEAN[:3], VAR), {}, ValueError, r"the prediction has shape \(3, 4\), the target \(6, 4\)"),
        ((MEAN, VAR), {"eps": 0}, ValueError, "eps must be finite and above 0, got 0"),
        ((MEAN, VAR), {"eps": -1e-6}, ValueError, "eps must be finite and above 0, got -1e-06"),
    ],
)
def test_wrong_arguments_of_gaussian_nll(
    prediction: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^gaussian_nll: .*{message}"):
        losses.gaussian_nll(prediction, TARGET, **options)


class _Normal(nn.Module):
    """Mean and logarithm of the variance, or the variance."""

    def __init__(self, log_var: bool) -> None:
        self.mean, self.spread = nn.Dense(1, in_features=2), nn.Dense(1, in_features=2)
        self._log_var = log_var

    def __call__(self, x: Any) -> Any:
        spread = self.spread(x)
        return self.mean(x), spread if self._log_var else ops.exp(spread)


@pytest.mark.parametrize("log_var", [False, True])
def test_a_trainer_learns_mean_and_variance(log_var: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2))
    y = x[:, 0] + np.exp(0.5 * x[:, 1]) * rng.normal(size=500)
    loss = functools.partial(losses.gaussian_nll, log_var=True) if log_var else "gaussian_nll"
    trainer = bp.Trainer(_Normal(log_var), loss, optim.Adam(0.05), dtype="float64")
    trainer.fit(x, y, epochs=40, progress=False)
    np.testing.assert_allclose(trainer.parameters["mean.weight"].ravel(), [1, 0], atol=0.15)
    np.testing.assert_allclose(trainer.parameters["spread.weight"].ravel(), [0, 1], atol=0.15)
    mean, spread = trainer.predict(x)
    expected = _gaussian(mean[:, 0], y, np.exp(spread[:, 0]) if log_var else spread[:, 0]).mean()
    assert trainer.evaluate(x, y, batch_size=64)["loss"] == pytest.approx(expected, rel=1e-12)


def test_a_trainer_takes_a_fixed_variance() -> None:
    x, y = RNG.normal(size=(10, 2)), RNG.normal(size=(10, 1))
    trainer = bp.Trainer(network(1, in_features=2), functools.partial(losses.gaussian_nll, var=0.5))
    expected = _gaussian(trainer.predict(x).astype(float), y, 0.5).mean()
    assert trainer.evaluate(x, y, batch_size=4)["loss"] == pytest.approx(expected, rel=1e-5)


# Bad arguments


@pytest.mark.parametrize("loss", [losses.kl_divergence, losses.poisson_nll])
def test_wrong_operands_raise_and_name_the_loss(loss: Any) -> None:
    who = loss.__name__
    with pytest.raises(ValueError, match=rf"^{who}: the prediction has shape \(6, 4\), the target \(6,\)"):
        loss(LOG_P, Q[:, 0])
    with pytest.raises(ValueError, match=f"^{who}: reduction must be .* got 'avg'"):
        loss(LOG_P, Q, "avg")
    with pytest.raises(TypeError, match=f"^{who}: the prediction must hold floats"):
        loss(np.zeros(3, int), np.zeros(3, int))
    if loss is losses.poisson_nll:
        with pytest.raises(ValueError, match="^poisson_nll: eps must be finite and above 0, got 0"):
            loss(LOG_P, Q, eps=0)


@pytest.mark.parametrize("loss", ["kl_divergence", "poisson_nll"])
def test_a_trainer_refuses_negative_targets(loss: str) -> None:
    trainer = bp.Trainer(network(4, in_features=4), loss)
    with pytest.raises(ValueError, match=f"^fit: targets of {loss} are at least 0, got -0.5"):
        trainer.fit(LOG_P, np.where(Q > 0, Q, -0.5), epochs=1, progress=False)


def test_a_trainer_takes_logarithms_of_probabilities() -> None:
    loss = functools.partial(losses.kl_divergence, log_target=True)
    trainer = bp.Trainer(network(4, in_features=4), loss, dtype="float64")
    x = trainer.predict(MEAN)
    expected = (np.exp(LOG_P) * (LOG_P - x)).mean()
    assert trainer.evaluate(MEAN, LOG_P, batch_size=4)["loss"] == pytest.approx(expected, rel=1e-12)
