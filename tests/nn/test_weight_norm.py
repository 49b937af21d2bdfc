"""nn.WeightNorm: the formula, its parameters, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from tests.training.problems import blobs


def _layer(dtype: str = "float64", **options: Any) -> Any:
    """WeightNorm of a Dense layer, (4, 3), whose g is not the norm of v."""
    layer = nn.WeightNorm(nn.Dense(3, in_features=4, bias_init="glorot_uniform", **options))
    layer.build(4, dtype=dtype)
    layer.weight_g.value[...] = [0.5, -2, 3]
    return layer


def _weight(layer: Any) -> np.ndarray:
    v, g = (np.asarray(each.value, np.float64) for each in (layer.weight_v, layer.weight_g))
    return np.asarray(g * v / np.linalg.norm(v.reshape(-1, len(g)), axis=0))


@pytest.mark.parametrize("activation", [None, "relu", nn.Tanh()])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-14)])
def test_it_is_the_layer_with_the_weight_of_length_g(activation: Any, dtype: str, tolerance: float) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(dtype)
    layer = _layer(dtype, activation=activation)
    plain = nn.Dense(3, activation, in_features=4)
    plain.build(4, dtype=dtype)
    plain.weight.value[...], plain.bias.value[...] = _weight(layer), layer.layer.bias.value  # type: ignore[union-attr]
    assert layer(x).dtype == dtype
    np.testing.assert_allclose(layer(x), plain(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("how", ["wrapped before it exists", "after", "after training", "with sizes unknown"])
def test_at_first_nothing_changes(how: str) -> None:
    x, y = blobs(30)
    plain = nn.Dense(3, in_features=None if how == "with sizes unknown" else 4)
    layer: Any = nn.WeightNorm(plain)
    if how == "wrapped before it exists":
        layer.build(4, seed=5)
    elif how == "after":
        plain.build(4, seed=5)
    elif how == "after training":
        bp.Trainer(plain, "cross_entropy").fit(x, y, epochs=1, progress=False)
    else:
        layer(x)
    weight = layer.parameters["weight_v"].copy()
    np.testing.assert_allclose(layer.weight_g.value, np.linalg.norm(weight, axis=0), rtol=1e-6)
    np.testing.assert_allclose(layer(x), x @ weight + layer.layer.bias.value, rtol=1e-5, atol=1e-6)


def test_its_parameters_take_the_weights_place() -> None:
    model = nn.Sequential(nn.WeightNorm(nn.Dense(5, "relu")), nn.WeightNorm(nn.Dense(3, use_bias=False)))
    assert "?" in (model.summary(show=False) or "")
    model.build(4)
    assert {name: value.shape for name, value in model.parameters.items()} == {
        "0.weight_v": (4, 5), "0.weight_g": (5,), "0.layer.bias": (5,),
        "1.weight_v": (5, 3), "1.weight_g": (3,),
    }  # fmt: skip
    text = model.summary(show=False) or ""
    rows = [line.split()[:5] for line in text.splitlines()]
    assert ["0", "(WeightNorm)", "(None,", "5)", "25"] in rows
    assert ["0.layer", "(Dense)", "(None,", "5)", "5"] in rows
    assert "48 parameters (" in text
    assert repr(model[1]) == "WeightNorm(Dense(3, in_features=5, use_bias=False))"


def test_the_layer_keeps_its_fused_product() -> None:
    layer = nn.WeightNorm(nn.Dense(3, "relu", in_features=4))
    layer(np.zeros((2, 4), np.float32))
    (compiled,) = layer._bpcore.plans._entries.values()
    assert compiled.plan.instructions[-1] == "dense[relu] (2, 3)"
    assert [each for each in compiled.plan.instructions if "(2, " in each] == ["dense[relu] (2, 3)"]


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e-4])
def test_derivatives(scale: float) -> None:
    """By the chain rule from those of the weight W: dg = Σ dW v/|v|, dv = g/|v| (dW - v/|v| dg)."""
    rng = np.random.default_rng(1)
    x, seed = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    layer = _layer()
    layer.weight_v.value[...] *= scale
    v, g = layer.weight_v.value, layer.weight_g.value
    bp.check_gradients(layer, x)
    trainer = bp.Trainer(layer, objective=lambda m, a, s: ops.sum(m(a) * s), dtype="float64")
    gradients = trainer.gradients(x, seed)
    assert list(gradients) == ["weight_v", "weight_g", "layer.bias"]
    norm, slope = np.linalg.norm(v, axis=0), x.T @ seed
    by_g = (slope * v / norm).sum(axis=0)
    np.testing.assert_allclose(gradients["weight_g"], by_g, rtol=1e-11)
    np.testing.assert_allclose(
        gradients["weight_v"], g / norm * (slope - v / norm * by_g), rtol=1e-10, atol=1e-12 / scale
    )
    np.testing.assert_allclose(gradients["layer.bias"], seed.sum(axis=0), rtol=1e-12)


def test_derivatives_by_its_parameters_against_differences_and_of_second_order() -> None:
    """Weights are handed in as arguments by a layer that holds them as they come."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 4))

    def loss(v: Any, g: Any) -> Any:
        model = nn.WeightNorm(nn.Dense(3, in_features=4, use_bias=False))
        model.build(4, dtype="float64")
        trace = v.trace
        trace._nodes[id(model.weight_v)] = (model.weight_v, v.node)
        trace._nodes[id(model.weight_g)] = (model.weight_g, g.node)
        return ops.sum(ops.tanh(model(x_of(v))))

    def x_of(like: Any) -> Any:
        return bp.Tensor(like.trace, like.trace.graph.constant(x))

    for order in (1, 2):
        bp.check_gradients(loss, rng.normal(size=(4, 3)), rng.normal(size=3), order=order)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_directions_of_any_length_are_right_and_finite(dtype: str) -> None:
    """Also where their squares overflow or vanish; a direction of 0 makes a weight of 0."""
    layer = _layer(dtype)
    lengths = np.array([1e-30, 1e30, 0] if dtype == "float32" else [1e-200, 1e200, 0])
    direction = np.random.default_rng(0).normal(size=(4, 3))
    layer.weight_v.value[...] = direction * lengths
    expected = [0.5, -2, 0] * direction / np.linalg.norm(direction, axis=0) + layer.layer.bias.value
    np.testing.assert_allclose(layer(np.eye(4)), expected, rtol=1e-5, atol=1e-6)
    trainer = bp.Trainer(layer, objective=lambda m, v: ops.sum(m(v) ** 2), dtype=dtype)
    for name, gradient in trainer.gradients(np.eye(4)).items():
        assert np.isfinite(gradient).all(), name


def test_it_trains_and_frozen_directions_stay() -> None:
    x, y = blobs(60)
    model = nn.Sequential(nn.WeightNorm(nn.Dense(16, "tanh")), nn.WeightNorm(nn.Dense(3)))
    model.build(4)
    first: Any = model[0]
    first.weight_v.trainable = False
    start = {name: value.copy() for name, value in model.parameters.items()}
    trainer = bp.Trainer(model, "cross_entropy", optim.Adam(0.02), metrics=["accuracy"])
    trainer.fit(x, y, epochs=20, batch_size=16, progress=False)
    assert trainer.evaluate(x, y)["accuracy"] > 0.97
    same = [name for name, value in trainer.parameters.items() if (value == start[name]).all()]
    assert same == ["0.weight_v"]


def test_files_and_copies(tmp_path: Path) -> None:
    layer = _layer()
    x = np.random.default_rng(0).normal(size=(6, 4))
    layer.save_weights(tmp_path / "weights.safetensors")
    loaded: Any = nn.WeightNorm(nn.Dense(3))
    loaded.load_weights(tmp_path / "weights.safetensors")
    twin = layer.copy()
    for other in (loaded, twin):
        assert list(other.parameters) == ["weight_v", "weight_g", "layer.bias"]
        np.testing.assert_array_equal(other(x), layer(x))
    assert twin.weight_v is twin.layer.weight is not layer.weight_v
    fresh: Any = nn.WeightNorm(nn.Dense(3, in_features=4)).copy()
    np.testing.assert_allclose(
        fresh.parameters["weight_g"], np.linalg.norm(fresh.parameters["weight_v"], axis=0), rtol=1e-6
    )


class _Sliding(nn.Module):
    """A layer with a weight of three axes."""

    def __init__(self) -> None:
        self.weight = nn.Parameter((2, 3, 4))

    def __call__(self, x: Any) -> Any:
        return x[:, 0] @ self.weight[0] + x[:, 1] @ self.weight[1]


def test_the_norm_is_over_all_axes_but_the_last() -> None:
    layer: Any = nn.WeightNorm(_Sliding())
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    assert layer.parameters["weight_g"].shape == (4,)
    layer.weight_g.value[...] = [1, 2, 3, 4]
    np.testing.assert_allclose(layer(x), np.einsum("bij,ijk->bk", x, _weight(layer)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [None, nn.Dense, nn.ReLU(), nn.BatchNorm(3), nn.Sequential(nn.Dense(3)), nn.WeightNorm(nn.Dense(3))],
)
def test_other_modules_are_refused(layer: Any) -> None:
    with pytest.raises(TypeError, match="WeightNorm: expected a module with a parameter weight"):
        nn.WeightNorm(layer)


def test_a_unit_without_a_direction_is_refused_before_anything_exists() -> None:
    layer = nn.WeightNorm(nn.Dense(3, in_features=4, kernel_init="zeros"))
    with pytest.raises(ValueError, match="WeightNorm: unit 0 of Parameter 'weight_v' .* no direction"):
        layer.build(4)
    assert all(variable.storage is None for _, variable in layer.named_variables())
