"""Makes recurrent.npz: what PyTorch's recurrent layers make of random input, with derivatives.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_recurrent.py

It needs nothing of bpcore, so that the file can't inherit its errors. All numbers are float64. PyTorch's
weights are written as bpcore has them: transposed, and its two biases added, but for the one inside of the
GRU's reset gate.

The file holds for each CASE (see CASES), beside CASE/lengths where sequences are padded:
    CASE/x, CASE/h0, CASE/c0         input and initial states
    CASE/seed_y, .../seed_h, ..._c   the derivatives of what comes out
    CASE/y, CASE/h, CASE/c           outputs of all steps, last states
    CASE/dx, CASE/dh0, CASE/dc0      derivatives
    CASE/p/NAME, CASE/dp/NAME        parameters by bpcore's names, and the derivatives
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 3
LENGTHS = [5, 2, 3]
KINDS = {"rnn": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CASES = [(kind, deep, padded) for kind in KINDS for deep in (False, True) for padded in (False, True)]


def parameters_of(kind: str, layer: nn.Module, gradient: bool) -> dict[str, np.ndarray]:
    """By bpcore's names; sums of biases have the derivative of either."""
    found = {}
    for layer_number in range(layer.num_layers):
        for suffix, cells in (("", "cells"), ("_reverse", "backward_cells")):
            if suffix and not layer.bidirectional:
                continue
            raw = [
                getattr(layer, f"{name}_l{layer_number}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            w, u, b, inner = (each.grad.numpy() if gradient else each.detach().numpy() for each in raw)
            name = f"{cells}.{layer_number}."
            found[name + "weight"], found[name + "recurrent_weight"] = w.T, u.T
            if kind == "gru":
                found[name + "recurrent_bias"] = inner[2 * UNITS :]
                inner = np.concatenate([inner[: 2 * UNITS], np.zeros(UNITS)])
            found[name + "bias"] = b if gradient else b + inner
    return found


def run(kind: str, deep: bool, padded: bool) -> dict[str, np.ndarray]:
    options = {"nonlinearity": "relu"} if kind == "relu" else {}
    layers = 2 if deep else 1
    layer = KINDS[kind](
        FEATURES, UNITS, layers, batch_first=True, bidirectional=deep, dtype=torch.float64, **options
    )
    runs = layers * (2 if deep else 1)
    states = ("h", "c") if kind == "lstm" else ("h",)
    x = torch.randn(BATCH, STEPS, FEATURES, dtype=torch.float64, requires_grad=True)
    first = [torch.randn(runs, BATCH, UNITS, dtype=torch.float64, requires_grad=True) for _ in states]
    given = tuple(first) if kind == "lstm" else first[0]
    if padded:
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        packed_y, last = layer(packed, given)
        y, _ = pad_packed_sequence(packed_y, batch_first=True, total_length=STEPS)
    else:
        y, last = layer(x, given)
    results = {"y": y, **dict(zip(states, last if kind == "lstm" else [last], strict=True))}
    seeds = {name: torch.randn_like(value) for name, value in results.items()}
    sum((value * seeds[name]).sum() for name, value in results.items()).backward()

    found = {name: value.detach().numpy() for name, value in results.items()}
    found.update({f"seed_{name}": value.numpy() for name, value in seeds.items()})
    found.update({"x": x.detach().numpy(), "dx": x.grad.numpy()})
    for name, value in zip(states, first, strict=True):
        found[f"{name}0"], found[f"d{name}0"] = value.detach().numpy(), value.grad.numpy()
    if padded:
        found["lengths"] = np.array(LENGTHS)
    for prefix, gradient in (("p", False), ("dp", True)):
        for name, value in parameters_of(kind, layer, gradient).items():
            found[f"{prefix}/{name}"] = np.ascontiguousarray(value)
    return found


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    file = {}
    for kind, deep, padded in CASES:
        case = "_".join([kind, *(["deep"] if deep else []), *(["padded"] if padded else [])])
        file.update({f"{case}/{name}": value for name, value in run(kind, deep, padded).items()})
    np.savez_compressed(Path(__file__).with_name("recurrent.npz"), **file)


if __name__ == "__main__":
    main()
