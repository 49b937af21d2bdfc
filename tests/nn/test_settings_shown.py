"""Each setting of a layer shows in its representation, by which files tell models apart."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops

LAYERS: dict[str, type[nn.Module]] = {
    name: kind
    for name in nn.__all__
    if isinstance(kind := getattr(nn, name), type) and issubclass(kind, nn.Module) and kind is not nn.Module
}

# They say how parameters begin and what training makes of them, not what the layer computes.
UNSEEN = {
    "bias_constraint", "bias_init", "bias_regularizer", "init", "kernel_constraint", "kernel_init",
    "kernel_regularizer", "recurrent_init", "unit_forget_bias",
}  # fmt: skip

# What arguments without a default are given; twice that is another value.
GIVEN: dict[str, Any] = {
    "count": 7, "filters": 4, "function": ops.exp, "heads": 2, "hidden": 16, "kernel_size": 3,
    "layer": nn.Dense(2), "layers": 2, "length": 5, "module": nn.ReLU(), "num_groups": 2, "order": (1, 2),
    "rate": 0.5, "scale": 2.0, "shape": (2, 3), "size": 2, "std": 0.5, "units": 4, "width": 8,
}  # fmt: skip

# Another value where neither that nor the opposite of a flag is one.
OTHER: dict[str, Any] = {
    "activation": "relu", "alpha": 2.0, "approximate": "tanh", "axis": 1, "beta": 2.0, "cropping": 2,
    "depth_multiplier": 2, "dilation": 2, "dropout": 0.25, "eps": 1e-3, "function": ops.tanh, "groups": 2,
    "in_channels": 4, "in_features": 3, "key_width": 6, "layer": nn.Dense(3), "layers": 3, "max_val": 2.0,
    "memory_width": 6, "min_val": -2.0, "mode": "bilinear", "module": nn.Tanh(), "momentum": None,
    "negative_slope": 0.5, "normalized_shape": 6, "num_channels": 4, "num_features": 4, "num_parameters": 3,
    "offset": 1.0, "order": (2, 1), "output_padding": 1, "padding": 2, "padding_index": 1, "shape": (3, 2),
    "shortcut": nn.Dense(2), "size": 3, "strides": 3, "value_width": 6, "width": 16,
}  # fmt: skip


def _settings(kind: type[nn.Module]) -> dict[str, Any]:
    """The arguments by name, with their defaults."""
    if kind.__init__ is object.__init__:
        return {}
    found = inspect.signature(kind).parameters.values()
    return {each.name: each.default for each in found if each.kind is not each.VAR_POSITIONAL}


def _made(kind: type[nn.Module], **settings: Any) -> nn.Module:
    several = kind in (nn.Concatenate, nn.Residual)
    return kind(*[nn.Dense(3)] * several, **settings)


CASES = [
    (name, setting)
    for name, kind in LAYERS.items()
    for setting in _settings(kind)
    if setting not in UNSEEN and (name, setting) not in {("Normalize", "mean"), ("Normalize", "variance")}
]


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_each_setting_shows(name: str, setting: str) -> None:
    kind = LAYERS[name]
    settings = _settings(kind)
    given = {each: GIVEN[each] for each, default in settings.items() if default is inspect.Parameter.empty}
    if setting == "output_padding":
        given["strides"] = 2
    default = settings[setting]
    if isinstance(default, bool):
        other = not default
    else:
        other = OTHER[setting] if setting in OTHER else 2 * GIVEN[setting]
    assert repr(_made(kind, **given | {setting: other})) != repr(_made(kind, **given))


def test_what_a_layer_normalizes_by_is_its_state_so_it_shows_that_there_is_such() -> None:
    assert repr(nn.Normalize()) != repr(nn.Normalize(mean=1.0, variance=2.0))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Dense(3, "relu", use_bias=False), "Dense(3, activation=relu, in_features=None, use_bias=False)"),
        (
            nn.ConvTranspose1D(4, 3, 2, output_padding=1),
            "ConvTranspose1D(4, 3, strides=2, padding='valid', in_channels=None, output_padding=1)",
        ),
        (
            nn.AvgPool2D(2, count_include_pad=True),
            "AvgPool2D(2, strides=2, padding='valid', count_include_pad=True)",
        ),
        (nn.BatchNorm(3, momentum=None, affine=False), "BatchNorm(3, momentum=None, affine=False)"),
        (nn.LayerNorm(3, elementwise_affine=False), "LayerNorm((3,), elementwise_affine=False)"),
        (nn.LayerNorm(3, bias=False), "LayerNorm((3,), bias=False)"),
        (
            nn.RNN(3, True, activation="relu", use_bias=False),
            "RNN(3, in_features=None, return_sequences=True, activation='relu', use_bias=False)",
        ),
        (
            nn.MultiHeadAttention(2, key_width=3),
            "MultiHeadAttention(2, width=None, key_width=3, value_width=None)",
        ),
        (
            nn.TransformerEncoder(1, 4, 2, 8, activation="silu", final_norm=False),
            "TransformerEncoder(1, 4, 2, 8, causal=False, activation=silu, final_norm=False)",
        ),
    ],
)
def test_only_what_is_not_the_default_shows(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("saved", "loaded"),
    [
        (nn.LayerNorm(4), nn.LayerNorm(4, eps=1e-3)),
        (nn.TransformerEncoder(1, 4, 2, 8), nn.TransformerEncoder(1, 4, 2, 8, activation="relu")),
        (nn.TransformerEncoder(1, 4, 2, 8), nn.TransformerEncoder(1, 4, 2, 8, norm_first=False)),
        (nn.MultiHeadAttention(2, width=4), nn.MultiHeadAttention(2, width=4, rotary=True)),
        (nn.RNN(4, True), nn.RNN(4, True, activation="relu")),
        (nn.LSTM(4, True, layers=2), nn.LSTM(4, True, layers=2, dropout=0.5)),
    ],
)
def test_a_file_of_a_model_with_another_setting_is_warned_of(
    saved: nn.Module, loaded: nn.Module, tmp_path: Path
) -> None:
    x = np.ones((2, 3, 4), np.float32)
    trainer = bp.Trainer(saved, "mse")
    trainer.step(x, x)
    trainer.save(tmp_path / "run.safetensors")
    with pytest.warns(RuntimeWarning, match="a model that differs"):
        bp.Trainer.load(tmp_path / "run.safetensors", loaded)
