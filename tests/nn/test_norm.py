"""nn.LayerNorm, RMSNorm, GroupNorm and InstanceNorm: values, derivatives, extremes, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from tests.support.references import normalized, normalized_grad
from tests.training.problems import blobs


def _group(x: np.ndarray, groups: int, function: Any) -> np.ndarray:
    """`function` of each sample's groups of channels, which are axes 1 to -2 and the last."""
    grouped = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    return np.asarray(function(grouped, axes)).reshape(x.shape)


def _last(count: int) -> Any:
    return lambda x, f: f(x, tuple(range(x.ndim - count, x.ndim)))


def _between(x: np.ndarray, f: Any) -> np.ndarray:
    return np.asarray(f(x, tuple(range(1, x.ndim - 1))))


# A layer, a shape of its input, and how a function of (x, axes) is applied to what it normalises.
CENTRED: list[tuple[Any, tuple[int, ...], Any]] = [
    (nn.LayerNorm, (5,), _last(1)),
    (lambda: nn.LayerNorm(6), (4, 6), _last(1)),
    (nn.LayerNorm, (2, 3, 40), _last(1)),
    (lambda: nn.LayerNorm((3, 4)), (2, 3, 4), _last(2)),
    (lambda: nn.LayerNorm([1, 3, 4]), (5, 1, 3, 4), _last(3)),
    (lambda: nn.GroupNorm(2), (3, 6), lambda x, f: _group(x, 2, f)),
    (lambda: nn.GroupNorm(1, 5), (3, 5), lambda x, f: _group(x, 1, f)),
    (lambda: nn.GroupNorm(3), (2, 4, 5, 6), lambda x, f: _group(x, 3, f)),
    (lambda: nn.GroupNorm(4, 4), (2, 5, 4), lambda x, f: _group(x, 4, f)),
    (lambda: nn.InstanceNorm(affine=True), (2, 7, 3), _between),
    (lambda: nn.InstanceNorm(4, affine=True), (3, 2, 5, 4), _between),
]


def _built(make: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """A layer whose parameters all have values of their own."""
    layer = make()
    layer.build((1, *shape) if len(shape) == 1 else shape, dtype=dtype)
    for i, value in enumerate(layer.parameters.values()):
        value[...] = np.random.default_rng(i).uniform(0.5, 2, value.shape)
    return layer


def _affine(layer: Any, y: np.ndarray) -> np.ndarray:
    weight, bias = (
        np.asarray(layer.parameters.get(n, d), np.float64) for n, d in (("weight", 1), ("bias", 0))
    )
    return y * weight + bias


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-13)])
@pytest.mark.parametrize(("make", "shape", "over"), CENTRED)
def test_values_in_both_modes(
    make: Any, shape: tuple[int, ...], over: Any, dtype: str, tolerance: float
) -> None:
    x = (3 * np.random.default_rng(0).normal(size=shape) + 1).astype(dtype)
    layer = _built(make, shape, dtype)
    expected = _affine(layer, over(x.astype(np.float64), lambda v, axes: normalized(v, axes, 1e-5)))
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=10 * tolerance)
    with bp.training(0):
        np.testing.assert_array_equal(layer(x), y)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-14)])
@pytest.mark.parametrize(
    ("shape", "last"), [((4, 5), None), ((2, 3, 40), None), ((2, 3, 4), (3, 4)), ((6,), 6)]
)
@pytest.mark.parametrize("eps", [None, 0.1])
def test_values_of_rms_norm(
    shape: tuple[int, ...], last: Any, eps: float | None, dtype: str, tolerance: float
) -> None:
    x = (1e-3 * np.random.default_rng(0).normal(size=shape)).astype(dtype)  # so small that eps shows
    layer = _built(lambda: nn.RMSNorm(last, eps=eps), shape, dtype)
    wide = x.astype(np.float64)
    axes = (-1, -2) if last == (3, 4) else -1
    added = np.finfo(dtype).eps if eps is None else eps
    expected = (
        wide / np.sqrt((wide**2).mean(axes, keepdims=True) + added) * layer.weight.value.astype(np.float64)
    )
    np.testing.assert_allclose(layer(x), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("make", "shape"), [*((make, shape) for make, shape, _ in CENTRED), (nn.RMSNorm, (3, 4)),
                        (lambda: nn.RMSNorm((3, 2)), (2, 3, 2)), (nn.InstanceNorm, (2, 3, 2))]
)  # fmt: skip
def test_derivatives_by_input_and_parameters(make: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    x, seed = rng.normal(size=shape), rng.normal(size=shape)
    layer = _built(make, shape, "float64")
    bp.check_gradients(layer, x)
    bp.check_gradients(layer, x, order=2)
    if not layer.parameters:
        return
    trainer = bp.Trainer(layer, objective=lambda m, v, g: ops.sum(m(v) * g), dtype="float64")
    gradients = trainer.gradients(x, seed)
    kept = {name: value.copy() for name, value in layer.parameters.items()}
    for value in layer.parameters.values():
        value[...] = np.ones_like(value)
    y = layer(x) - (1 if "bias" in kept else 0)
    axes = tuple(range(x.ndim - kept["weight"].ndim))
    np.testing.assert_allclose(gradients.pop("weight"), (seed * y).sum(axes), rtol=1e-10, atol=1e-12)
    if "bias" in kept:
        np.testing.assert_allclose(gradients.pop("bias"), seed.sum(axes), rtol=1e-10, atol=1e-12)
    assert gradients == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e4 / 3, 1e-40, 1e-310])
@pytest.mark.parametrize(("make", "shape", "over"), CENTRED)
def test_equal_values_give_the_bias_and_finite_derivatives(
    make: Any, shape: tuple[int, ...], over: Any, value: float, dtype: str
) -> None:
    x, layer = np.full(shape, value, dtype), _built(make, shape, dtype)
    layer.eps = 1e-12
    seed = np.random.default_rng(0).normal(size=shape).astype(dtype)
    np.testing.assert_array_equal(layer(x), np.broadcast_to(layer.bias.value, shape))
    slope = bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    weighted = seed * layer.weight.value.astype(np.float64)
    expected = over(weighted, lambda g, axes: g - g.mean(axes, keepdims=True)) / 1e-6
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["large mean", "far apart", "subnormal"])
@pytest.mark.parametrize(("make", "shape", "over"), CENTRED)
def test_extreme_values_are_finite_and_right(
    make: Any, shape: tuple[int, ...], over: Any, kind: str, dtype: str
) -> None:
    rng = np.random.default_rng(2)
    values = {
        "large mean": 1e4 + rng.normal(size=shape),
        "far apart": rng.choice([-1e4, 0.0, 1.0, 1e4], shape),
        "subnormal": rng.integers(-8, 9, shape) * (1e-40 if dtype == "float32" else 1e-310),
    }
    x, layer = values[kind].astype(dtype), _built(make, shape, dtype)
    seed, wide = rng.normal(size=shape).astype(dtype), x.astype(np.float64)
    slope = bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    expected = _affine(layer, over(wide, lambda v, axes: normalized(v, axes, 1e-5)))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    weighted = seed * layer.weight.value.astype(np.float64)

    def slopes(v: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        return normalized_grad(v, axes, 1e-5, weighted.reshape(v.shape))

    expected = over(wide, slopes)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rms_norm_of_extreme_values(dtype: str) -> None:
    x = np.array([[0, 0, 0], [1e-40, -1e-40, 0], [1e4, -1e4, 1], [1, 1, 1], [-1e4, 0, 0]], dtype)
    layer = nn.RMSNorm(3)
    layer.build(3, dtype=dtype)
    wide, eps = x.astype(np.float64), np.finfo(dtype).eps
    rms = np.sqrt((wide**2).mean(axis=1, keepdims=True) + eps)
    np.testing.assert_allclose(layer(x), wide / rms, rtol=1e-6, atol=0)
    seed = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    slope = bp.grad(lambda v: ops.sum(layer(v) * seed))(x)
    expected = (seed - wide / rms**2 * (seed * wide).mean(axis=1, keepdims=True)) / rms
    scale = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(slope / scale, expected / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("make", "shape"), [(make, shape) for make, shape, _ in CENTRED if len(shape) > 1])
def test_a_sample_does_not_depend_on_its_batch(make: Any, shape: tuple[int, ...]) -> None:
    layer, x = _built(make, shape, "float32"), np.random.default_rng(0).normal(size=(33, *shape[1:]))
    x = x.astype(np.float32)
    whole = layer(x)
    for i in (0, 16, 32):
        assert layer(x[i : i + 1]).tobytes() == whole[i : i + 1].tobytes()
    assert layer(x[:0]).shape == x[:0].shape


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.LayerNorm(4), ["weight", "bias"]),
        (nn.LayerNorm(4, bias=False), ["weight"]),
        (nn.LayerNorm(4, elementwise_affine=False), []),
        (nn.RMSNorm(4), ["weight"]),
        (nn.RMSNorm(4, elementwise_affine=False), []),
        (nn.GroupNorm(2, 4), ["weight", "bias"]),
        (nn.GroupNorm(2, 4, affine=False), []),
        (nn.InstanceNorm(4), []),
        (nn.InstanceNorm(4, affine=True), ["weight", "bias"]),
    ],
)
def test_affine_switches_and_initial_values(layer: nn.Module, names: list[str]) -> None:
    values = {name: value.tolist() for name, value in layer.parameters.items()}
    assert values == {name: [1.0] * 4 if name == "weight" else [0.0] * 4 for name in names}
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    plain = [nn.LayerNorm(), nn.RMSNorm(), nn.GroupNorm(2), nn.InstanceNorm()]
    (same,) = [each for each in plain if type(each) is type(layer)]
    np.testing.assert_array_equal(layer(x), same(x))


def test_sizes_are_inferred_once_and_shown() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    shown = ["LayerNorm((4,))", "RMSNorm((4,))", "GroupNorm(2, 4)", "InstanceNorm(4, affine=True)"]
    for layer, text in zip(
        [nn.LayerNorm(), nn.RMSNorm(), nn.GroupNorm(2), nn.InstanceNorm(affine=True)], shown, strict=True
    ):
        assert "None" in repr(layer)
        layer(x)
        assert repr(layer) == text
        with pytest.raises(ValueError, match=r"Norm: expected input of shape \(.*, 4\), got \(2, 3, 5\)"):
            layer(np.zeros((2, 3, 5), np.float32))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.LayerNorm((3, 4)), (4,), r"LayerNorm: expected input of shape \(..., 3, 4\), got \(4,\)"),
        (nn.LayerNorm((3, 4)), (3, 5), r"LayerNorm: expected input of shape \(..., 3, 4\), got \(3, 5\)"),
        (nn.LayerNorm(), (), r"LayerNorm: expected input of shape \(..., channels\), got \(\)"),
        (nn.LayerNorm(1), (2, 1), r"LayerNorm: expected more than 1 value per sample, .* \(2, 1\)"),
        (nn.RMSNorm(3), (2, 4), r"RMSNorm: expected input of shape \(..., 3\), got \(2, 4\)"),
        (nn.GroupNorm(2), (4,), r"GroupNorm: expected input of shape \(batch, ..., channels\), got \(4,\)"),
        (nn.GroupNorm(2), (2, 5), r"GroupNorm: 5 channels can't be cut into 2 groups"),
        (nn.GroupNorm(4), (2, 4), r"GroupNorm: expected more than 1 value per group, .* \(2, 4\)"),
        (
            nn.InstanceNorm(),
            (2, 4),
            r"expected input of shape \(batch, length, ..., channels\), got \(2, 4\)",
        ),
        (
            nn.InstanceNorm(),
            (2, 1, 4),
            r"InstanceNorm: expected more than 1 value per channel .* \(2, 1, 4\)",
        ),
    ],
)
def test_bad_input(layer: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(shape, np.float32))


def test_an_error_names_the_layer_by_its_place_in_the_model() -> None:
    model = nn.Sequential(nn.Dense(5, in_features=4), nn.LayerNorm(6))
    with pytest.raises(
        ValueError, match=r"LayerNorm layer '1': expected input of shape \(..., 6\), got \(2, 5\)"
    ):
        model(np.zeros((2, 4), np.float32))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LayerNorm(()), ValueError, "LayerNorm: normalized_shape must have at least one size"),
        (lambda: nn.LayerNorm(0), ValueError, "LayerNorm: normalized_shape must be at least 1, got 0"),
        (lambda: nn.LayerNorm((3, None)), TypeError, "normalized_shape must be an integer, got None"),
        (lambda: nn.LayerNorm(True), TypeError, "normalized_shape must be an integer, got True"),
        (lambda: nn.LayerNorm(3, eps=0.0), ValueError, "LayerNorm: eps must be finite and at least"),
        (lambda: nn.LayerNorm(3, eps=None), TypeError, "LayerNorm: eps must be a number, got None"),
        (lambda: nn.RMSNorm(3, eps=0.0), ValueError, "RMSNorm: eps must be finite and at least"),
        (lambda: nn.RMSNorm(3, eps=float("nan")), ValueError, "RMSNorm: eps must be finite and at least"),
        (lambda: nn.RMSNorm("3"), TypeError, "RMSNorm: normalized_shape must be an integer, got '3'"),
        (lambda: nn.GroupNorm(0), ValueError, "GroupNorm: num_groups must be at least 1, got 0"),
        (lambda: nn.GroupNorm(2.0), TypeError, "GroupNorm: num_groups must be an integer, got 2.0"),
        (lambda: nn.GroupNorm(2, 5), ValueError, "GroupNorm: 5 channels can't be cut into 2 groups"),
        (lambda: nn.GroupNorm(2, -4), ValueError, "GroupNorm: num_channels must be at least 1, got -4"),
        (lambda: nn.GroupNorm(2, eps=-1), ValueError, "GroupNorm: eps must be finite and at least"),
        (lambda: nn.InstanceNorm(0), ValueError, "InstanceNorm: num_features must be at least 1, got 0"),
        (lambda: nn.InstanceNorm(eps="x"), TypeError, "InstanceNorm: eps must be a number, got 'x'"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm, lambda: nn.GroupNorm(4)])
def test_they_train_within_a_network_also_on_batches_of_one(make: Any) -> None:
    x, y = blobs(61)
    model = nn.Sequential(nn.Dense(16), make(), nn.Tanh(), nn.Dense(3))
    trainer = bp.Trainer(model, "cross_entropy", optim.Adam(0.01), metrics=["accuracy"])
    trainer.fit(x, y, epochs=20, batch_size=20, progress=False)
    assert trainer.evaluate(x, y)["accuracy"] > 0.97


def test_integers_become_floats() -> None:
    x = np.arange(12).reshape(2, 3, 2)
    for layer in (nn.LayerNorm(), nn.InstanceNorm(), nn.RMSNorm(elementwise_affine=False)):
        y = layer(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, layer(x.astype(np.float32)))
