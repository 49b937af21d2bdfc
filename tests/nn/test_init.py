"""nn.init: bounds and moments, exact properties, and what keys the numbers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bpcore import nn
from bpcore._native import core
from bpcore.nn import init
from bpcore.nn.init import distributions

SHAPE = (300, 200)
UNIFORM = [
    (init.GlorotUniform(), np.sqrt(6 / 500)),
    (init.GlorotUniform(gain=5 / 3), 5 / 3 * np.sqrt(6 / 500)),
    (init.HeUniform(), np.sqrt(6 / 300)),
    (init.HeUniform(negative_slope=0.5), np.sqrt(6 / 300 / 1.25)),
    (init.HeUniform(mode="fan_out"), np.sqrt(6 / 200)),
    (init.LecunUniform(), np.sqrt(3 / 300)),
    (init.Uniform(-0.3, 0.3), 0.3),
]
NORMAL = [
    (init.GlorotNormal(), np.sqrt(2 / 500)),
    (init.GlorotNormal(gain=np.sqrt(2)), np.sqrt(4 / 500)),
    (init.HeNormal(), np.sqrt(2 / 300)),
    (init.HeNormal(0.2), np.sqrt(2 / 300 / 1.04)),
    (init.HeNormal(0.2, "fan_out"), np.sqrt(2 / 200 / 1.04)),
    (init.LecunNormal(), np.sqrt(1 / 300)),
    (init.Normal(), 1.0),
    (init.Normal(std=0.02), 0.02),
]


@pytest.mark.parametrize(("initializer", "limit"), UNIFORM)
def test_uniform_values_fill_their_interval_evenly(initializer: init.Initializer, limit: float) -> None:
    values = initializer(SHAPE, 0, 1).ravel()
    assert np.abs(values).max() <= limit
    assert np.abs(values).max() > 0.999 * limit
    # 20 bins of 3,000 values each: 5 sigma is 267.
    counts, _ = np.histogram(values, 20, (-limit, limit))
    assert np.abs(counts - 3000).max() < 270
    assert values.var() == pytest.approx(limit**2 / 3, rel=0.02)


@pytest.mark.parametrize(("initializer", "deviation"), NORMAL)
def test_normal_values_have_their_moments(initializer: init.Initializer, deviation: float) -> None:
    values = initializer(SHAPE, 0, 1).ravel() / deviation
    n = values.size
    assert abs(values.mean()) < 5 / np.sqrt(n)
    assert values.var() == pytest.approx(1, abs=5 * np.sqrt(2 / n))
    assert (values**3).mean() == pytest.approx(0, abs=5 * np.sqrt(15 / n))
    assert (values**4).mean() == pytest.approx(3, abs=5 * np.sqrt(96 / n))
    assert (np.abs(values) < 1).mean() == pytest.approx(0.6827, abs=0.01)
    assert 3.5 < np.abs(values).max() < 6.5


RANDOM = [initializer for initializer, _ in UNIFORM + NORMAL]


@pytest.mark.parametrize("initializer", [*RANDOM, init.TruncatedNormal(), init.Orthogonal()], ids=repr)
def test_seed_and_stream_key_the_values(initializer: init.Initializer) -> None:
    values = initializer((40, 30), 3, 5)
    assert values.dtype == np.float64
    assert values.tobytes() == initializer((40, 30), 3, 5).tobytes()
    for other in (
        initializer((40, 30), 4, 5),
        initializer((40, 30), 3, 6),
        initializer((40, 30), 2**62, 2**62),
    ):
        assert np.corrcoef(values.ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.15)
        assert (values != other).all()
    assert np.unique(values).size == values.size


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (init.HeUniform(), 2 / 75),
        (init.HeNormal(), 2 / 75),
        (init.HeUniform(mode="fan_out"), 2 / 10000),
        (init.LecunNormal(), 1 / 75),
        (init.GlorotUniform(), 2 / 10075),
        (init.GlorotNormal(gain=3), 18 / 10075),
    ],
    ids=repr,
)
def test_the_fans_of_a_kernel_count_its_field(initializer: init.Initializer, variance: float) -> None:
    """5 x 5 places, 3 channels in, 400 out: fans of 75 and 10,000."""
    values = initializer((5, 5, 3, 400), 0, 0)
    assert values.shape == (5, 5, 3, 400)
    kurtosis = 3 if "Normal" in repr(initializer) else 9 / 5
    error = np.sqrt((kurtosis - 1) / values.size)
    assert values.var() == pytest.approx(variance, rel=5 * error)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 4), (3, 4)), ((5, 3, 4), (15, 20)), ((2, 5, 3, 4), (30, 40))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert init.fans(shape) == expected


def test_the_defaults_bits_are_those_of_their_formulas() -> None:
    """So that a gain of 1 and a slope of 0 cost no rounding."""
    u, n = core.random_uniform((30, 20), 2, 3), core.random_normal((30, 20), 2, 3)
    for name, expected in (
        ("glorot_uniform", np.sqrt(6 / 50) * (2 * u - 1)),
        ("he_uniform", np.sqrt(6 / 30) * (2 * u - 1)),
        ("glorot_normal", np.sqrt(2 / 50) * n),
        ("he_normal", np.sqrt(2 / 30) * n),
        ("lecun_normal", np.sqrt(1 / 30) * n),
        ("normal", n),
        ("uniform", u),
    ):
        assert init.resolve(name)((30, 20), 2, 3).tobytes() == expected.tobytes(), name


# Spreads that are given


@pytest.mark.parametrize(("low", "high"), [(2.0, 5.0), (-3.0, -2.5), (-0.1, 0.3), (0.0, 1e-300), (1.5, 1.5)])
def test_uniform_lies_between_its_bounds(low: float, high: float) -> None:
    values = init.Uniform(low, high)(SHAPE, 1, 2)
    n = values.size
    assert low <= values.min() <= values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=5 * (high - low) / np.sqrt(12 * n), rel=1e-12)
    if high > low:
        unit = (values - low) / (high - low)
        assert unit.var() == pytest.approx(1 / 12, abs=5 * np.sqrt((1 / 80 - 1 / 144) / n))


def test_normal_has_its_mean_and_deviation() -> None:
    values = init.Normal(-7.0, 0.5)(SHAPE, 1, 2)
    n = values.size
    assert values.mean() == pytest.approx(-7, abs=5 * 0.5 / np.sqrt(n))
    assert values.var() == pytest.approx(0.25, abs=5 * 0.25 * np.sqrt(2 / n))
    assert (init.Normal(3.0, 0.0)(SHAPE, 1, 2) == 3).all()


TRUNCATED = [
    (0.0, 1.0, None, None),
    (0.5, 0.02, None, None),
    (-3.0, 2.0, -4.0, 10.0),
    (0.0, 1.0, 0.5, 0.6),
    (0.0, 1.0, 4.0, 7.0),
    (0.0, 1.0, -7.0, -4.0),
    (10.0, 2.0, -30.0, 3.0),
    (0.0, 1.0, -60.0, 60.0),
    (0.0, 1.0, 30.0, 31.0),
]


@pytest.mark.parametrize(("mean", "std", "a", "b"), TRUNCATED)
def test_a_truncated_normal_stays_in_its_bounds_and_has_its_moments(
    mean: float, std: float, a: float | None, b: float | None
) -> None:
    """Moments by integration of its density over a fine grid, scaled by its largest value."""
    values = init.TruncatedNormal(mean, std, a, b)((300, 400), 3, 4)
    low, high = mean - 2 * std if a is None else a, mean + 2 * std if b is None else b
    assert low <= values.min() < values.max() <= high
    grid = np.linspace(low, high, 2_000_001)
    exponents = -0.5 * ((grid - mean) / std) ** 2
    density = np.exp(exponents - exponents.max())

    def expectation(of: np.ndarray) -> float:
        return float((of * density).sum() / density.sum())

    center = expectation(grid)
    variance, fourth = expectation((grid - center) ** 2), expectation((grid - center) ** 4)
    n = values.size
    assert values.mean() == pytest.approx(center, abs=5 * np.sqrt(variance / n))
    assert values.var() == pytest.approx(variance, abs=5 * np.sqrt((fourth - variance**2) / n))


def test_a_truncated_normals_defaults_cut_at_two_deviations() -> None:
    """The deviation of what is left is 0.8796 of the normal's."""
    values = init.TruncatedNormal(std=0.1)(SHAPE, 0, 0)
    assert 0.1999 < np.abs(values).max() <= 0.2
    assert values.std() == pytest.approx(0.08796, rel=0.02)


def test_truncated_values_are_quantiles_of_the_cores_uniforms() -> None:
    """One number for each element, whatever the shape; checked by the distribution function."""
    values = init.TruncatedNormal(1.0, 2.0, -1.0, 4.0)((50, 20), 7, 8)
    phi = np.vectorize(lambda x: math.erf((x - 1) / (2 * math.sqrt(2))) / 2)
    u = (phi(values) - phi(-1.0)) / (phi(4.0) - phi(-1.0))
    np.testing.assert_allclose(u, core.random_uniform((50, 20), 7, 8), rtol=0, atol=1e-14)
    other = init.TruncatedNormal(1.0, 2.0, -1.0, 4.0)((700,), 7, 8)
    np.testing.assert_array_equal(other, values.ravel()[:700])


@pytest.mark.parametrize("u", [0.0, 1 - 2.0**-53])
def test_the_outermost_numbers_stay_in_the_bounds(u: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rounding would pass them, and where Φ rounds to 0 and 1."""
    extreme = SimpleNamespace(random_uniform=lambda shape, *_: np.full(shape, u))
    monkeypatch.setattr(distributions, "core", extreme)
    for low, high in ((-0.53, 0.17), (-0.1, 0.3), (0.1, 0.7), (-3.0, 1.1), (-60.0, 60.0), (-0.3, 60.0)):
        for values in (
            init.Uniform(low, high)((2,), 0, 0),
            init.TruncatedNormal(0, 1, low, high)((2,), 0, 0),
        ):
            assert low <= values.min() <= values.max() <= high


# Matrices


@pytest.mark.parametrize("gain", [1.0, 2.5, -0.5])
@pytest.mark.parametrize(
    "shape", [(1, 1), (6, 6), (40, 7), (7, 40), (64, 64), (3, 3, 4, 8), (2, 2, 100), (300, 1), (1, 300)]
)
def test_orthogonal_matrices_are(shape: tuple[int, ...], gain: float) -> None:
    values = init.Orthogonal(gain)(shape, 1, 2)
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1]) / gain
    rows, columns = matrix.shape
    products = [matrix.T @ matrix] * (rows >= columns) + [matrix @ matrix.T] * (rows <= columns)
    for product in products:
        np.testing.assert_allclose(product, np.eye(min(rows, columns)), rtol=0, atol=1e-12)


def test_orthogonal_matrices_are_spread_evenly() -> None:
    """Over all of them an element's mean is 0 and its variance 1/n, and both signs of the determinant come:
    without the signs of R's diagonal, the first column's largest element would always have one sign."""
    size, count = 4, 3000
    matrices = np.stack([init.Orthogonal()((size, size), 0, stream) for stream in range(count)])
    assert np.abs(matrices.mean(axis=0)).max() < 5 * np.sqrt(1 / size / count)
    # Of the square of a coordinate of a point on the sphere: mean 1/n, second moment 3 / (n (n + 2)).
    error = np.sqrt((3 / (size * (size + 2)) - 1 / size**2) / count)
    assert np.abs((matrices**2).mean(axis=0) - 1 / size).max() < 5 * error
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(count)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (3, 5)])
def test_identity(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(init.Identity()(shape, 0, 0), np.eye(*shape))
    np.testing.assert_array_equal(init.Identity(-0.5)(shape, 0, 0), -0.5 * np.eye(*shape))


NAMES = [
    "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "normal", "ones", "truncated_normal", "uniform", "zeros",
]  # fmt: skip


@pytest.mark.parametrize("shape", [(), (7,), (1, 1), (0,), (3, 0)])
@pytest.mark.parametrize("name", NAMES)
def test_every_shape_has_values(name: str, shape: tuple[int, ...]) -> None:
    values = init.resolve(name)(shape, 0, 0)
    assert values.shape == shape
    assert values.dtype == np.float64
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**63, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_seeds_are_refused(seed: Any, error: type[Exception]) -> None:
    layer = nn.Dense(2)
    with pytest.raises(error, match="^build: seed must be"):
        layer.build(3, seed=seed)
    layer.build(4, seed=np.int64(2))
    same = nn.Dense(2)
    same.build(4, seed=2)
    np.testing.assert_array_equal(layer.parameters["weight"], same.parameters["weight"])
