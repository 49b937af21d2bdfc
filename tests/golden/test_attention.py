"""Attention and transformer layers give PyTorch's results and derivatives (see make_attention.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}

WIDTH, HEADS, HIDDEN = 8, 2, 12

# The layer, and what it is called with behind x and memory.
CASES: dict[str, tuple[Any, Any]] = {
    "self": (lambda: nn.MultiHeadAttention(HEADS), lambda a, x: a(x)),
    "self_causal": (lambda: nn.MultiHeadAttention(HEADS), lambda a, x: a(x, causal=True)),
    "cross": (
        lambda: nn.MultiHeadAttention(HEADS),
        lambda a, x, m, mask, lengths: a(x, m, None, mask, lengths),
    ),
    "cross_widths": (
        lambda: nn.MultiHeadAttention(HEADS, key_width=6, value_width=6),
        lambda a, x, m: a(x, m),
    ),
    "encoder_pre": (
        lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, causal=True),
        lambda layer, x: layer(x),
    ),
    "encoder_post": (
        lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, norm_first=False),
        lambda layer, x, lengths: layer(x, None, lengths),
    ),
    "decoder_pre": (
        lambda: nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN),
        lambda layer, x, m, mask: layer(x, m, None, mask),
    ),
    "decoder_post": (
        lambda: nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, causal=False, norm_first=False),
        lambda layer, x, m, lengths: layer(x, m, None, None, None, lengths),
    ),
}

# PyTorch's names of parts, in this order, and ours.
_NAMES = {
    "self_attn.": "attention.",
    "multihead_attn.": "cross_attention.",
    "linear": "dense",
    "in_proj_": "in_",
    "q_proj_": "query_",
    "k_proj_": "key_",
    "v_proj_": "value_",
    "out_proj.": "out_",
}


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("attention.npz")) as file:
        return dict(file)


def _below(prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): value for n, value in _golden().items() if n.startswith(prefix)}


def _ours(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _assert_close(actual: np.ndarray, expected: np.ndarray, dtype: str, what: str) -> None:
    assert actual.dtype == dtype, what
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    assert error <= TOLERANCE[dtype], f"{what}: relative error {error:.2e}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_pytorchs(case: str, dtype: str) -> None:
    make, call = CASES[case]
    given = _below(f"{case}/")
    inputs = [given[name].astype(dtype) for name in ("x", "memory") if name in given]
    rules = [given[name] for name in ("mask", "lengths") if name in given]
    seed = given["seed"].astype(dtype)
    layer = make()
    layer.build([x.shape for x in inputs], dtype=dtype)
    weights = {_ours(name): value for name, value in _below(f"{case}/w/").items()}
    assert sorted(layer.parameters) == sorted(weights)
    for name, value in layer.parameters.items():
        value[...] = weights[name]

    def total(model: Any, *arrays: Any) -> Any:
        return ops.sum(call(model, *arrays[:-1], *rules) * arrays[-1])

    _assert_close(call(layer, *inputs, *rules), given["y"], dtype, "y")
    slopes = bp.grad(lambda *arrays: total(layer, *arrays), range(len(inputs)))(*inputs, seed)
    for name, slope in zip(("dx", "dmemory"), slopes, strict=False):
        _assert_close(slope, given[name], dtype, name)
    trainer = bp.Trainer(layer, objective=total, dtype=dtype)
    gradients = trainer.gradients(*inputs, seed)
    for name, value in _below(f"{case}/d/").items():
        _assert_close(gradients[_ours(name)], value, dtype, name)
