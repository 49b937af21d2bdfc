"""Makes attention.npz: what PyTorch's attention and transformer layers make of random input.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_attention.py

It needs nothing of bpcore, so that the file can't inherit its errors. Weights are stored as (in, out). A
boolean `attn_mask` of `nn.MultiheadAttention` and of the layers is True where a key is *not* seen; the file
holds its opposite, True where it is.

The file holds for each CASE (see CASES), in float64:
    CASE/x, CASE/memory         input, and what is attended to where it is something else
    CASE/mask, CASE/lengths     where the case has them
    CASE/seed, CASE/y, CASE/dx  derivatives of the result, the result, derivatives by x
    CASE/dmemory                ... by memory
    CASE/w/NAME, CASE/d/NAME    parameters by PyTorch's names, and the derivatives by them
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

BATCH, TIME, KEYS, WIDTH, HEADS, HIDDEN = 2, 5, 7, 8, 2, 12

_LAYER = {"dim_feedforward": HIDDEN, "dropout": 0.0, "activation": "gelu", "batch_first": True}
CASES: dict[str, tuple[Any, set[str]]] = {
    "self": (lambda: nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), set()),
    "self_causal": (lambda: nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), {"causal"}),
    "cross": (lambda: nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), {"memory", "mask", "lengths"}),
    "cross_widths": (
        lambda: nn.MultiheadAttention(WIDTH, HEADS, kdim=6, vdim=6, batch_first=True),
        {"memory", "narrow"},
    ),
    "encoder_pre": (lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, norm_first=True, **_LAYER), {"causal"}),
    "encoder_post": (lambda: nn.TransformerEncoderLayer(WIDTH, HEADS, **_LAYER), {"lengths"}),
    "decoder_pre": (
        lambda: nn.TransformerDecoderLayer(WIDTH, HEADS, norm_first=True, **_LAYER),
        {"memory", "causal", "mask"},
    ),
    "decoder_post": (lambda: nn.TransformerDecoderLayer(WIDTH, HEADS, **_LAYER), {"memory", "lengths"}),
}


def lengths(keys: int) -> list[int]:
    return [3, keys]


def hidden_keys(keys: int) -> torch.Tensor:
    return torch.arange(keys) >= torch.tensor(lengths(keys))[:, None]


def run(layer: nn.Module, arrays: dict[str, torch.Tensor], rules: set[str]) -> torch.Tensor:
    x, memory = arrays["x"], arrays.get("memory")
    mask = ~arrays["mask"] if "mask" in rules else None
    causal = torch.ones(TIME, TIME, dtype=torch.bool).triu(1) if "causal" in rules else None
    if isinstance(layer, nn.MultiheadAttention):
        keys = x if memory is None else memory
        padding = hidden_keys(keys.shape[1]) if "lengths" in rules else None
        return layer(x, keys, keys, key_padding_mask=padding, attn_mask=mask if causal is None else causal)[0]
    if memory is None:
        padding = hidden_keys(TIME) if "lengths" in rules else None
        return layer(x, src_mask=causal, src_key_padding_mask=padding)
    padding = hidden_keys(KEYS) if "lengths" in rules else None
    return layer(x, memory, tgt_mask=causal, memory_mask=mask, memory_key_padding_mask=padding)


def stored(value: torch.Tensor) -> np.ndarray:
    array = value.detach().numpy()
    return (array.T if array.ndim == 2 else array).copy()


def main() -> None:
    torch.set_num_threads(1)
    file: dict[str, np.ndarray] = {}
    for number, (case, (make, rules)) in enumerate(CASES.items()):
        rng = np.random.default_rng([34, number])
        layer = make().double().train()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.tensor(rng.normal(0, 0.5, parameter.shape)))
        arrays = {
            "x": torch.tensor(rng.normal(size=(BATCH, TIME, WIDTH)), requires_grad=True),
            "seed": torch.tensor(rng.normal(size=(BATCH, TIME, WIDTH))),
        }
        if "memory" in rules:
            width = 6 if "narrow" in rules else WIDTH
            arrays["memory"] = torch.tensor(rng.normal(size=(BATCH, KEYS, width)), requires_grad=True)
        if "mask" in rules:
            seen = rng.random((TIME, KEYS)) < 0.5
            seen[:, 0] = True
            arrays["mask"] = torch.tensor(seen)
        y = run(layer, arrays, rules)
        y.backward(arrays["seed"])
        for name, value in arrays.items():
            file[f"{case}/{name}"] = value.detach().numpy()
            if value.grad is not None:
                file[f"{case}/d{name}"] = value.grad.numpy()
        if "lengths" in rules:
            file[f"{case}/lengths"] = np.array(lengths(KEYS if "memory" in rules else TIME))
        file[f"{case}/y"] = y.detach().numpy()
        for name, parameter in layer.named_parameters():
            file[f"{case}/w/{name}"] = stored(parameter)
            file[f"{case}/d/{name}"] = stored(parameter.grad)
    np.savez_compressed(Path(__file__).with_name("attention.npz"), **file)


if __name__ == "__main__":
    main()
