"""nn.Dense: the formula, shapes, dtypes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops


def _layer(units: int, in_features: int, dtype: str = "float64", **options: Any) -> nn.Dense:
    layer = nn.Dense(units, in_features=in_features, bias_init="glorot_uniform", **options)
    layer.build(in_features, dtype=dtype)
    return layer


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 4), (2, 3, 4), (1, 1), (2, 1, 3, 4)])
@pytest.mark.parametrize("units", [1, 5])
def test_it_is_x_times_weight_plus_bias_over_any_leading_axes(shape: tuple[int, ...], units: int) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    layer = _layer(units, shape[-1])
    assert np.any(layer.bias.value != 0)  # type: ignore[union-attr]
    expected = x @ layer.weight.value + layer.bias.value  # type: ignore[union-attr]
    assert layer(x).shape == (*shape[:-1], units)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (None, lambda z: z),
        ("identity", lambda z: z),
        ("linear", lambda z: z),
        ("relu", lambda z: np.maximum(z, 0)),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("tanh", np.tanh),
        ("softmax", lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)),
        ("log_softmax", lambda z: z - np.log(np.exp(z).sum(axis=-1, keepdims=True))),
        (nn.Tanh(), np.tanh),
        (nn.Softmax(axis=0), lambda z: np.exp(z) / np.exp(z).sum(axis=0)),
        (lambda z: z * z + 1, lambda z: z * z + 1),
        (ops.relu, lambda z: np.maximum(z, 0)),
    ],
)
def test_activations_by_name_by_module_and_by_function(activation: Any, function: Any) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    layer = _layer(5, 4, activation=activation)
    expected = function(x @ layer.weight.value + layer.bias.value)  # type: ignore[union-attr]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh", "softmax"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_derivatives_by_input_weight_and_bias(activation: str | None, use_bias: bool) -> None:
    layer = _layer(3, 4, activation=activation, use_bias=use_bias)
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    bp.check_gradients(lambda v: layer(v), x)
    trainer = bp.Trainer(layer, "mse", dtype="float64")
    gradients = trainer.gradients(x, target)
    assert list(gradients) == (["weight", "bias"] if use_bias else ["weight"])
    for name, parameter in trainer.parameters.items():
        for at in np.ndindex(parameter.shape):
            kept, ends = parameter[at], []
            for moved in (kept + 1e-5, kept - 1e-5):
                parameter[at] = moved
                ends.append(trainer.evaluate(x, target)["loss"])
            parameter[at] = kept
            numeric = (ends[0] - ends[1]) / 2e-5
            assert gradients[name][at] == pytest.approx(numeric, rel=1e-6, abs=1e-9), (name, at)


def test_without_bias_there_is_none() -> None:
    layer = nn.Dense(3, in_features=4, use_bias=False)
    assert layer.bias is None
    assert list(layer.parameters) == ["weight"]
    np.testing.assert_array_equal(layer(np.zeros((2, 4))), np.zeros((2, 3)))


def test_the_input_size_is_inferred_once() -> None:
    layer = nn.Dense(3)
    assert layer.in_features is None
    layer(np.zeros((2, 4), np.float32))
    assert layer.in_features == 4
    with pytest.raises(
        ValueError, match=r"Dense: expected input of shape \(..., 4\), got \(2, 5\): 5 features instead of 4"
    ):
        layer(np.zeros((2, 5), np.float32))


def test_an_error_names_the_layer_by_its_place_in_the_model() -> None:
    model = nn.Sequential(nn.Dense(5, in_features=4), nn.Sequential(nn.Dense(3, in_features=6)))
    with pytest.raises(
        ValueError, match=r"Dense layer '1.0': expected input of shape \(..., 6\), got \(2, 5\)"
    ):
        model(np.zeros((2, 4), np.float32))


def test_a_number_is_no_input() -> None:
    with pytest.raises(ValueError, match=r"Parameter 'weight' .* can't have shape \(0, 3\): every size"):
        nn.Dense(3)(np.zeros((2, 0)))
    with pytest.raises(ValueError, match="got a number"):
        nn.Dense(3, in_features=1)(np.float32(1.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["bool", "uint8", "int32", "int64"])
def test_integers_and_masks_become_the_models_dtype(kind: str, dtype: str) -> None:
    layer = _layer(3, 4, dtype)
    x = np.arange(8).reshape(2, 4).astype(kind)
    assert layer(x).dtype == dtype
    np.testing.assert_array_equal(layer(x), layer(x.astype(dtype)))


def test_the_result_has_the_models_dtype() -> None:
    assert _layer(3, 4, "float32")(np.zeros((2, 4))).dtype == np.float32
    assert _layer(3, 4, "float64")(np.zeros((2, 4), np.float32)).dtype == np.float64


def test_input_that_overflows_the_models_dtype_is_an_error() -> None:
    with pytest.raises(ValueError, match="overflows float32"):
        _layer(3, 4, "float32")(np.full((2, 4), 1e39))


def test_bias_and_activation_are_computed_in_one_instruction_with_the_product() -> None:
    layer = _layer(3, 4, activation="relu")
    assert layer(np.zeros((2, 4))).shape == (2, 3)
    plans = [compiled.plan for compiled in layer._bpcore.plans._entries.values()]
    assert [plan.instructions for plan in plans] == [["dense[relu] (2, 3)"]]
