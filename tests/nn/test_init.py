"""nn.init: bounds and moments of Glorot's and He's, what keys the numbers, and Dense's defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bpcore import nn
from bpcore.nn import init

SHAPE = (300, 200)
UNIFORM = [(init.GlorotUniform(), np.sqrt(6 / 500)), (init.HeUniform(), np.sqrt(6 / 300))]
NORMAL = [(init.GlorotNormal(), np.sqrt(2 / 500)), (init.HeNormal(), np.sqrt(2 / 300))]


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


@pytest.mark.parametrize(("initializer", "scale"), UNIFORM + NORMAL)
def test_seed_and_stream_key_the_values(initializer: init.Initializer, scale: float) -> None:
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
    assert scale > 0


@pytest.mark.parametrize(
    ("initializer", "fan"), [(init.HeUniform(), 5 * 5 * 3), (init.HeNormal(), 5 * 5 * 3)]
)
def test_the_fan_of_a_kernel_counts_its_field(initializer: init.Initializer, fan: int) -> None:
    values = initializer((5, 5, 3, 400), 0, 0)
    assert values.var() == pytest.approx(2 / fan, rel=0.05)


@pytest.mark.parametrize("shape", [(), (7,), (1, 1), (0,), (3, 0)])
@pytest.mark.parametrize(
    "name", ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "ones", "zeros"]
)
def test_every_shape_has_values(name: str, shape: tuple[int, ...]) -> None:
    values = init.resolve(name)(shape, 0, 0)
    assert values.shape == shape
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("given", "value"), [("zeros", 0.0), ("ones", 1.0), (0.25, 0.25), (3, 3.0), (init.Constant(-2), -2.0)]
)
def test_constants(given: Any, value: float) -> None:
    assert (init.resolve(given)((3, 2), 0, 0) == value).all()


@pytest.mark.parametrize(("given", "error"), [("glorot", ValueError), ([1], TypeError), (None, TypeError)])
def test_what_is_no_initializer(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        init.resolve(given)


# In layers


def test_dense_defaults_to_glorot_uniform_and_to_he_normal_with_relu() -> None:
    model = nn.Sequential(
        nn.Dense(200, "tanh"), nn.Dense(300, "relu"), nn.Dense(300, nn.ReLU()), nn.Dense(100)
    )
    model.build(300)
    weights = [value for name, value in model.parameters.items() if name.endswith("weight")]
    assert np.abs(weights[0]).max() <= np.float32(np.sqrt(6 / 500))
    assert weights[0].var() == pytest.approx(2 / 500, rel=0.03)
    assert weights[1].var() == pytest.approx(2 / 200, rel=0.03)
    assert np.abs(weights[1]).max() > np.sqrt(6 / 200), "normal, not uniform"
    assert weights[2].var() == pytest.approx(2 / 300, rel=0.03)
    assert np.abs(weights[3]).max() <= np.float32(np.sqrt(6 / 400))
    assert not any(value.any() for name, value in model.parameters.items() if name.endswith("bias"))


def _built(seed: int, model: nn.Module, dtype: str = "float32") -> dict[str, np.ndarray]:
    model.build(4, seed=seed, dtype=dtype)
    return model.parameters


def test_values_are_keyed_by_seed_and_name() -> None:
    """So that a layer more elsewhere changes nothing here, and equal layers differ."""
    small = _built(0, nn.Sequential(nn.Dense(4), nn.Dense(4)))
    large = _built(0, nn.Sequential(nn.Dense(4), nn.Dense(4), nn.Dense(4)))
    for name, value in small.items():
        np.testing.assert_array_equal(value, large[name])
    assert (small["0.weight"] != small["1.weight"]).all()
    assert (_built(1, nn.Sequential(nn.Dense(4)))["0.weight"] != small["0.weight"]).all()


def test_float32_values_are_the_float64_ones_rounded() -> None:
    narrow, wide = _built(0, nn.Dense(4)), _built(0, nn.Dense(4), "float64")
    np.testing.assert_array_equal(narrow["weight"], wide["weight"].astype(np.float32))


def test_an_initializer_of_ones_own() -> None:
    def eye(shape: tuple[int, ...], seed: int, stream: int) -> np.ndarray:  # noqa: ARG001
        return np.eye(*shape)

    layer = nn.Dense(4, in_features=4, kernel_init=eye, bias_init=2.0)
    np.testing.assert_array_equal(layer(np.ones((1, 4), np.float32)), [[3, 3, 3, 3]])


def test_an_initializer_that_gives_another_shape_is_an_error() -> None:
    layer = nn.Dense(4, in_features=4, kernel_init=lambda shape, seed, stream: np.zeros(3))  # noqa: ARG005
    with pytest.raises(ValueError, match=r"its initializer gave values of shape \(3,\)"):
        layer.parameters  # noqa: B018
