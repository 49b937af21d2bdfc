"""Recurrent layers give PyTorch's results and derivatives, with its weights (see make_recurrent.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
LAYERS: dict[str, Any] = {"rnn": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CASES = [kind + deep + padded for kind in LAYERS for deep in ("", "_deep") for padded in ("", "_padded")]


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("recurrent.npz")) as file:
        return dict(file)


def _below(prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): value for n, value in _golden().items() if n.startswith(prefix)}


def _assert_close(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert actual.shape == expected.shape, what
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    assert error <= TOLERANCE[actual.dtype.name], f"{what}: relative error {error:.2e}"


def _states(case: str, given: dict[str, np.ndarray], prefix: str, suffix: str) -> list[np.ndarray]:
    """Without the leading axis where there is one recurrence, which has none in bpcore."""
    found = [given[prefix + name + suffix] for name in ("h", "c")[: 2 if case.startswith("lstm") else 1]]
    return found if "deep" in case else [each[0] for each in found]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_results_and_derivatives_are_pytorchs(case: str, dtype: str) -> None:
    given = {
        name: value if name == "lengths" else value.astype(dtype)
        for name, value in _below(f"{case}/").items()
    }
    kind = case.split("_", maxsplit=1)[0]
    options = {"layers": 2, "bidirectional": True} if "deep" in case else {}
    if kind == "relu":
        options["activation"] = "relu"
    layer = LAYERS[kind](3, True, return_state=True, in_features=4, **options)
    layer.build((None, 5, 4), dtype=dtype)
    assert sorted(layer.parameters) == sorted(n.removeprefix("p/") for n in given if n.startswith("p/"))
    for name, value in layer.parameters.items():
        value[...] = given[f"p/{name}"]
    lengths = given.get("lengths")
    first, seeds = _states(case, given, "", "0"), _states(case, given, "seed_", "")

    def results(x: Any, *states: Any) -> list[Any]:
        y, last = layer(x, states if len(states) > 1 else states[0], lengths)
        return [y, *(last if isinstance(last, tuple) else [last])]

    def loss(x: Any, *states: Any) -> Any:
        found = results(x, *states)
        return sum((ops.sum(a * s) for a, s in zip(found, [given["seed_y"], *seeds], strict=True)), 0.0)

    expected = [given["y"], *_states(case, given, "", "")]
    for got, want in zip(results(given["x"], *first), expected, strict=True):
        _assert_close(np.asarray(got), want, "results")
    wanted = [given["dx"], *_states(case, given, "d", "0")]
    gradients = bp.grad(loss, argnums=tuple(range(len(wanted))))(given["x"], *first)
    for got, want in zip(gradients, wanted, strict=True):
        _assert_close(got, want, "derivatives by the input and the states")

    # The states are constants here: inputs of a trainer have the batch as their first axis.
    trainer = bp.Trainer(layer, objective=lambda _, x: loss(x, *first), optimizer="sgd", dtype=dtype)
    for name, gradient in trainer.gradients(given["x"]).items():
        _assert_close(gradient, given[f"dp/{name}"], name)
