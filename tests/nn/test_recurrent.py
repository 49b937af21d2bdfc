"""nn.RNN, nn.LSTM and nn.GRU: what they take, give back and refuse. Their values: tests/golden."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from tests.support.draw import normal

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
BATCH, STEPS, FEATURES, UNITS = 4, 5, 3, 6
LENGTHS = np.array([5, 1, 3, 2])
X = normal((BATCH, STEPS, FEATURES)).astype("float32")

every_kind = pytest.mark.parametrize("kind", KINDS)


def _tensors(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_shapes(kind: str, layers: int, bidirectional: bool) -> None:
    options: dict[str, Any] = {"layers": layers, "bidirectional": bidirectional}
    directions = 2 if bidirectional else 1
    y, state = KINDS[kind](UNITS, True, return_state=True, **options)(X)
    assert y.shape == (BATCH, STEPS, directions * UNITS)
    runs = layers * directions
    shape = (BATCH, UNITS) if runs == 1 else (runs, BATCH, UNITS)
    assert [each.shape for each in _tensors(state)] == [shape] * (2 if kind == "LSTM" else 1)
    assert KINDS[kind](UNITS, **options)(X).shape == (BATCH, directions * UNITS)


@every_kind
def test_parameters_exist_once_the_input_is_known(kind: str) -> None:
    layer, gates = KINDS[kind](UNITS, layers=2, bidirectional=True), {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    assert layer.in_features is None
    layer(X)
    assert layer.in_features == FEATURES
    shapes = {name: value.shape for name, value in layer.parameters.items()}
    assert shapes["cells.0.weight"] == (FEATURES, gates * UNITS)
    assert shapes["backward_cells.1.weight"] == (2 * UNITS, gates * UNITS)
    assert shapes["cells.1.recurrent_weight"] == (UNITS, gates * UNITS)
    assert shapes["cells.0.bias"] == (gates * UNITS,)
    assert ("cells.0.recurrent_bias" in shapes) == (kind == "GRU")
    without = KINDS[kind](UNITS, use_bias=False, in_features=FEATURES)
    assert list(without.parameters) == ["cells.0.weight", "cells.0.recurrent_weight"]
    zeros = KINDS[kind](UNITS, in_features=FEATURES)
    zeros(X)
    zeros.parameters["cells.0.weight"][...] = without.parameters["cells.0.weight"]
    zeros.parameters["cells.0.recurrent_weight"][...] = without.parameters["cells.0.recurrent_weight"]
    np.testing.assert_array_equal(without(X), zeros(X))


@every_kind
def test_initial_recurrent_weights_are_orthogonal(kind: str) -> None:
    weight = KINDS[kind](UNITS, in_features=2).parameters["cells.0.recurrent_weight"]
    np.testing.assert_allclose(weight @ weight.T, np.eye(UNITS), atol=1e-5)


def test_unit_forget_bias() -> None:
    bias = nn.LSTM(2, in_features=1, unit_forget_bias=True).parameters["cells.0.bias"]
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    assert not nn.LSTM(2, in_features=1).parameters["cells.0.bias"].any()


@every_kind
@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True}], ids=str)
def test_padding_has_no_influence(kind: str, options: dict[str, Any]) -> None:
    layer = KINDS[kind](UNITS, True, return_state=True, **options)
    y, state = layer(X, lengths=LENGTHS)
    for n, length in enumerate(LENGTHS):
        alone, last = layer(X[n : n + 1, :length])
        np.testing.assert_allclose(y[n, :length], alone[0], atol=1e-6)
        assert not y[n, length:].any()
        for a, b in zip(_tensors(state), _tensors(last), strict=True):
            np.testing.assert_allclose(a[..., n, :], b[..., 0, :], atol=1e-6)
    mask = np.arange(STEPS) < LENGTHS[:, None]
    np.testing.assert_array_equal(layer(X, mask=mask)[0], y)
    other = X.copy()
    other[~mask] = 99
    np.testing.assert_array_equal(layer(other, lengths=LENGTHS)[0], y)
    # The last output is that of each sequence's own end.
    short = KINDS[kind](UNITS, **options)
    short(X)
    for name, value in short.parameters.items():
        value[...] = layer.parameters[name]
    ends = y[np.arange(BATCH), LENGTHS - 1, :UNITS]
    np.testing.assert_array_equal(short(X, lengths=LENGTHS)[:, :UNITS], ends)
    if options:
        np.testing.assert_array_equal(short(X, lengths=LENGTHS)[:, UNITS:], y[:, 0, UNITS:])


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_may_be_cut_in_two(kind: str, layers: int) -> None:
    layer = KINDS[kind](UNITS, True, layers=layers, return_state=True)
    y, state = layer(X)
    first, between = layer(X[:, :2])
    second, last = layer(X[:, 2:], between)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), y, atol=1e-6)
    for a, b in zip(_tensors(state), _tensors(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_reach_all_parameters_and_inputs(kind: str, dtype: str) -> None:
    layer = KINDS[kind](2, True, layers=2, bidirectional=True, in_features=FEATURES)
    layer.build((None, STEPS, FEATURES), dtype=dtype)
    gradients = bp.Trainer(
        layer, objective=lambda model, x: ops.mean(ops.square(model(x))), optimizer="sgd", dtype=dtype
    ).gradients(X)
    assert all(gradient.dtype == dtype and gradient.any() for gradient in gradients.values())
    if dtype == "float64":
        assert (
            bp.check_gradients(lambda x: ops.sum(ops.square(layer(x, None, LENGTHS))), X.astype(dtype))
            <= 1e-6
        )


@every_kind
def test_dropout_is_between_layers_and_in_training_only(kind: str) -> None:
    layer = KINDS[kind](UNITS, layers=2, dropout=0.5)
    y = layer(X)
    np.testing.assert_array_equal(layer(X), y)
    with bp.training(1):
        assert not np.array_equal(layer(X), y)
        single = KINDS[kind](UNITS, dropout=0.5)
        np.testing.assert_array_equal(single(X), single(X))
        trained = single(X)
    np.testing.assert_array_equal(single(X), trained)


@every_kind
def test_wrong_input_is_refused(kind: str) -> None:
    layer = KINDS[kind](UNITS, in_features=FEATURES, return_state=True)
    for x, message in [
        (X[0], rf"{kind}.*: expected input of shape \(batch, steps, features\), got \(5, 3\)"),
        (X[:, :, :2], "expected input of 3 features"),
        (X[:, :0], "at least one step"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer(x)
    state = np.zeros((BATCH, UNITS + 1), "float32")
    with pytest.raises(ValueError, match=rf"{kind}.*state of shape \(4, 6\), got \(4, 7\)"):
        layer(X, (state, state) if kind == "LSTM" else state)
    with pytest.raises(ValueError, match=r"expected lengths of shape \(4,\), got \(3,\)"):
        layer(X, lengths=LENGTHS[:3])
    with pytest.raises(TypeError, match="lengths must be integers, not floats"):
        layer(X, lengths=LENGTHS * 1.0)
    for lengths in ([0, 1, 1, 1], [1, 1, 1, 6]):
        with pytest.raises(
            ValueError, match=rf"length {max(lengths) if 6 in lengths else 0} is out of range"
        ):
            layer(X, lengths=np.array(lengths))
    mask = np.ones((BATCH, STEPS), bool)
    with pytest.raises(ValueError, match="lengths or a mask, got both"):
        layer(X, lengths=LENGTHS, mask=mask)
    with pytest.raises(TypeError, match="a mask must be bool"):
        layer(X, mask=mask.astype("float32"))
    with pytest.raises(ValueError, match=r"expected a mask of shape \(4, 5\), got \(4, 4\)"):
        layer(X, mask=mask[:, 1:])
    mask[2, 1] = False
    with pytest.raises(ValueError, match="out of range .* mask with gaps"):
        layer(X, mask=mask)
    with pytest.raises(ValueError, match="a mask must be a prefix"):
        bp.grad(lambda x: ops.sum(layer(x, None, None, mask)[0]))(X)


@every_kind
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "units must be at least 1"),
        ((2.0,), {}, TypeError, "units must be an integer"),
        ((2, "yes"), {}, TypeError, "return_sequences must be True or False"),
        ((2,), {"layers": 0}, ValueError, "layers must be at least 1"),
        ((2,), {"dropout": 1.5}, ValueError, "rate must be in"),
        ((2,), {"in_features": 0}, ValueError, "in_features must be at least 1"),
        ((2,), {"use_bias": 1}, TypeError, "use_bias must be True or False"),
        ((2,), {"stateful": True, "bidirectional": True}, ValueError, "stateful does not go with"),
        ((2,), {"recurrent_init": "orthogonally"}, ValueError, "orthogonally"),
    ],
)
def test_wrong_settings_are_refused(
    kind: str, arguments: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        KINDS[kind](*arguments, **options)


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(ValueError, match='activation must be "tanh" or "relu"'):
        nn.RNN(2, activation="gelu")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_all_arguments_have_names_and_another_is_refused_in_the_name_of_the_layer(name: str) -> None:
    kind = getattr(nn, name)
    assert all(each.kind is not each.VAR_KEYWORD for each in inspect.signature(kind).parameters.values())
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) got .* 'unit'"):
        kind(2, unit=3)


def test_input_that_does_not_fit_is_refused_in_the_name_of_the_layer() -> None:
    layer = nn.LSTM(4)
    with pytest.raises(ValueError, match=r"^LSTM: expected input of shape \(batch, steps, features\)"):
        layer(np.ones((3, 4), np.float32))
    layer(np.ones((2, 3, 4), np.float32))
    with pytest.raises(ValueError, match="^LSTM: expected input of 4 features"):
        layer(np.ones((2, 3, 5), np.float32))


def test_repr() -> None:
    assert repr(nn.GRU(3)) == "GRU(3, in_features=None)"
    layer = nn.LSTM(3, layers=2, bidirectional=True, in_features=4)
    assert repr(layer) == "LSTM(3, in_features=4, layers=2, bidirectional=True)"
    assert repr(nn.LSTMCell(3)) == "LSTMCell(3, in_features=None)"
