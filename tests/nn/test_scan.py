"""Cells, and nn.scan over the time axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace
from tests.support.draw import normal

X = normal((3, 5, 4)).astype("float32")
KINDS: dict[str, Any] = {
    "RNN": nn.RNN,
    "relu": lambda *a, **k: nn.RNN(*a, activation="relu", **k),
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
}


def _tensors(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [False, True])
def test_a_scan_of_its_cell_is_the_layer(kind: str, given: bool) -> None:
    layer = KINDS[kind](6, True, return_state=True, bias_init="normal")
    first: Any = None
    if given:
        states = [normal((3, 6), key=i).astype("float32") for i in range(2)]
        first = tuple(states) if kind == "LSTM" else states[0]
    y, state = layer(X, first)
    by_steps, last = nn.scan(layer.cells[0], X, first)
    np.testing.assert_allclose(by_steps, y, atol=1e-6)
    for a, b in zip(_tensors(last), _tensors(state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_layer_are_those_of_the_scan(kind: str) -> None:
    layer = KINDS[kind](3, True, in_features=4)
    layer.build((None, 5, 4), dtype="float64")
    x, seed = X.astype("float64"), normal((3, 5, 3), key=7)
    by_layer = bp.grad(lambda x: ops.sum(layer(x) * seed))(x)
    by_steps = bp.grad(lambda x: ops.sum(nn.scan(layer.cells[0], x)[0] * seed))(x)
    np.testing.assert_allclose(by_layer, by_steps, atol=1e-12)


def test_a_cell_alone() -> None:
    cell = nn.LSTMCell(6)
    y, (h, c) = cell(X[:, 0])
    np.testing.assert_array_equal(y, h)
    assert c.shape == (3, 6)
    again, _ = cell(X[:, 1], (h, c))
    assert again.shape == (3, 6)
    with pytest.raises(ValueError, match=r"expected input of shape \(batch, features\), got \(3, 5, 4\)"):
        cell(X)
    with pytest.raises(ValueError, match=r"a state of 2 tensors of shape \(3, 6\)"):
        cell(X[:, 0], h)


@pytest.mark.parametrize("backward", [False, True])
def test_states_may_be_anything(backward: bool) -> None:
    def function(x: Any, state: Any) -> Any:
        total, (count,) = state["total"] + x, state["count"]
        return total * 2, {"total": total, "count": [count + 1]}

    zero = np.zeros((3, 4), "float32")
    y, state = nn.scan(function, X, {"total": zero, "count": [zero]}, reverse=backward)
    sums = np.cumsum(X[:, ::-1], axis=1)[:, ::-1] if backward else np.cumsum(X, axis=1)
    np.testing.assert_allclose(y, 2 * sums, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["total"], X.sum(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state["count"][0], 5)


def test_derivatives() -> None:
    def function(x: Any, state: Any) -> Any:
        h = ops.tanh(x + 0.5 * state)
        return h * x, h

    def loss(x: Any, h: Any) -> Any:
        y, last = nn.scan(function, x, h, reverse=True)
        return ops.sum(y * y) + ops.sum(last)

    assert bp.check_gradients(loss, normal((2, 5, 3)), normal((2, 3), key=1), order=2) <= 1e-6


def _elements_moved(steps: int) -> int:
    """Elements of all slices' gradients on the way back."""
    with Trace() as trace:
        x = Tensor(trace, trace.graph.input((2, steps, 3), "float64"))
        y, _ = nn.scan(lambda a, s: (ops.tanh(a + s), s), x, np.zeros((2, 3)))
        trace.graph.gradients(ops.sum(y).node, [x.node])
        nodes = [n for n in range(len(trace.graph)) if trace.graph.op(n) in ("unslice", "slice")]
        return sum(int(np.prod(trace.graph.shape(n))) for n in nodes)


def test_the_way_back_is_not_quadratic_in_the_steps() -> None:
    assert _elements_moved(256) <= 16 * 2 * _elements_moved(16)


def test_wrong_arguments() -> None:
    for x in (np.zeros(3), np.zeros((3, 0, 2))):
        with pytest.raises(ValueError, match=r"scan: expected input of shape \(batch, steps, ...\)"):
            nn.scan(lambda a, s: (a, s), x)
    with pytest.raises(TypeError, match="must return an output and a state"):
        nn.scan(lambda a, _: a, X)
    with pytest.raises(TypeError, match="reverse must be True or False"):
        nn.scan(lambda a, s: (a, s), X, reverse=1)  # type: ignore[arg-type]
