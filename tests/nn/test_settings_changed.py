"""A setting that is changed behind a layer's back takes effect, or is an error: never neither."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bpcore import nn

# Every kind of layer with parts of its own, its input, and the settings that may change, with another value.
LAYERS: dict[str, tuple[Callable[[], Any], Any, dict[str, Any]]] = {
    "Dense": (lambda: nn.Dense(3), (4, 5), {"activation": np.tanh}),
    "Conv1D": (lambda: nn.Conv1D(2, 3), (2, 9, 2), {"strides": (2,), "padding": "same", "dilation": (2,)}),
    "Conv2D": (
        lambda: nn.Conv2D(2, 3),
        (2, 9, 9, 2),
        {"strides": (2, 1), "padding": "same", "dilation": (2, 2)},
    ),
    "ConvTranspose2D": (
        lambda: nn.ConvTranspose2D(2, 3, 2),
        (2, 4, 4, 2),
        {"strides": (3, 3), "padding": "same", "output_padding": (1, 1), "dilation": (2, 2)},
    ),
    "DepthwiseConv2D": (lambda: nn.DepthwiseConv2D(3), (2, 9, 9, 2), {"strides": (2, 2)}),
    "Embedding": (lambda: nn.Embedding(5, 3), np.array([0, 1, 2]), {"padding_index": 1}),
    "LearnedPositions": (lambda: nn.LearnedPositions(4), (2, 3, 2), {}),
    "MultiHeadAttention": (lambda: nn.MultiHeadAttention(2), (2, 3, 4), {"heads": 1, "rotary": True}),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8),
        (2, 3, 4),
        {"causal": True, "norm_first": False},
    ),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(4, 2, 8), None, {}),
    "TransformerEncoder": (lambda: nn.TransformerEncoder(1, 4, 2, 8), (2, 3, 4), {}),
    "TransformerDecoder": (lambda: nn.TransformerDecoder(1, 4, 2, 8), None, {}),
    "RNN": (lambda: nn.RNN(3), (2, 4, 2), {"return_sequences": True, "return_state": True}),
    "LSTM": (lambda: nn.LSTM(3), (2, 4, 2), {"return_sequences": True}),
    "GRU": (lambda: nn.GRU(3), (2, 4, 2), {"return_sequences": True}),
    "RNNCell": (lambda: nn.RNNCell(3), (2, 4), {"activation": "relu"}),
    "LSTMCell": (lambda: nn.LSTMCell(3), (2, 4), {}),
    "GRUCell": (lambda: nn.GRUCell(3), (2, 4), {}),
    "BatchNorm": (lambda: nn.BatchNorm(), (5, 4), {"eps": 0.5}),
    "LayerNorm": (lambda: nn.LayerNorm(), (5, 4), {"eps": 0.5}),
    "RMSNorm": (lambda: nn.RMSNorm(), (5, 4), {"eps": 0.5}),
    "GroupNorm": (lambda: nn.GroupNorm(2), (5, 4), {"eps": 0.5, "num_groups": 1}),
    "InstanceNorm": (lambda: nn.InstanceNorm(), (5, 3, 4), {"eps": 0.5}),
    "PReLU": (lambda: nn.PReLU(), (5, 4), {}),
    "Normalize": (lambda: nn.Normalize(mean=0.0, variance=1.0), (5, 4), {}),
}


def _leaves(output: Any) -> list[Any]:
    return [each for part in output for each in _leaves(part)] if isinstance(output, tuple) else [output]


def _same(one: Any, other: Any) -> bool:
    ones, others = _leaves(one), _leaves(other)
    return len(ones) == len(others) and all(map(np.array_equal, ones, others))


def _arguments(layer: Any) -> list[str]:
    return [name for name in inspect.signature(type(layer).__init__).parameters if name != "self"]


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_can_be_changed_with_effect_or_not_at_all(name: str) -> None:
    layer = LAYERS[name][0]()
    assert type(layer).__name__ == name
    for argument in _arguments(layer):
        kept = vars(layer).get(argument)
        if argument not in (*type(layer)._set_once, *type(layer)._not_kept):
            assert argument in vars(layer), f"setting {argument} would make an attribute of no effect"
            continue
        before = dict(vars(layer))
        with pytest.raises(AttributeError, match=f"^{name}: {argument} counts only while the layer is made"):
            setattr(layer, argument, 99)
        assert vars(layer) == before
        if argument in before:
            setattr(layer, argument, kept)  # what it is already


@pytest.mark.parametrize("name", [name for name, (_, _, changes) in LAYERS.items() if changes])
def test_what_can_be_changed_takes_effect_at_the_next_call(name: str) -> None:
    make, shape, changes = LAYERS[name]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) if isinstance(shape, tuple) else shape
    for argument, value in changes.items():
        layer = make()
        before = layer(x)
        setattr(layer, argument, nn.Tanh() if value is np.tanh else value)
        assert not _same(layer(x), before), argument


def test_no_layer_with_parts_of_its_own_is_left_out() -> None:
    public = [getattr(nn, name) for name in nn.__all__]
    layers = [each for each in public if isinstance(each, type) and issubclass(each, nn.Module)]
    assert {each.__name__ for each in layers if each._set_once or each._not_kept} - {
        "ConvTranspose1D",
        "DepthwiseConv1D",
    } == {*LAYERS}


def test_the_layer_is_named_by_its_place() -> None:
    model = nn.Sequential(nn.Dense(3), nn.Dense(2))
    model.build(4)
    with pytest.raises(AttributeError, match="^Dense layer '1': units counts only .*; make a new layer$"):
        model[1].units = 99  # type: ignore[attr-defined]
    assert [value.shape for value in model.parameters.values()] == [(4, 3), (3,), (3, 2), (2,)]


class Own(nn.Dense):
    """Keeps its arguments, as many do, and has settings and a counter of its own."""

    def __init__(self, units: int, use_bias: bool) -> None:
        super().__init__(units, use_bias=use_bias)
        self.units = units
        self.use_bias = use_bias
        self.calls = 0


def test_subclasses_keep_attributes_of_their_own() -> None:
    layer = Own(3, False)
    layer.calls += 1
    layer.use_bias = True
    layer.shown = "a note"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="^Own: units counts only"):
        layer.units = 4


class Free(nn.Module):
    """Its own settings are none of bpcore's."""

    def __init__(self) -> None:
        self.dense = nn.Dense(2)
        self.units = 3


def test_modules_of_ones_own_are_free_and_copies_whole() -> None:
    module = Free()
    module.units, module.count = 4, 1  # type: ignore[attr-defined]
    module.dense = nn.Dense(5)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.copy()):
        assert (twin.units, twin.dense.units) == (4, 5)
