"""Makes interop.npz: PyTorch models' weights, as their state_dict has them, with inputs and outputs.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_interop.py

It needs nothing of bpcore, so that the file can't inherit its errors. The other way round, models of bpcore,
trained for some steps, give their weights to the PyTorch models here, which must then give the same outputs:

    PYTHONPATH=python:. python tests/golden/make_interop.py check

All numbers are float32. Images and signals are stored with their channels last; PyTorch gets them, and gives
them, with channels first.

The file holds for each CASE (see CASES):
    CASE/x, CASE/y    input, and output in inference mode
    CASE/w/NAME       the state_dict
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn, self.fc2 = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.fc2(torch.relu(self.bn(self.fc1(x))))


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(90, 4)

    def forward(self, x: Any) -> Any:
        return self.fc(torch.flatten(torch.relu(self.conv(x)), 1))


class Recurrent(nn.Module):
    def __init__(self, layer: Any, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x)[0])


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.lstm, self.gru = nn.RNNCell(3, 4), nn.LSTMCell(3, 4), nn.GRUCell(3, 4)

    def forward(self, x: Any) -> Any:
        return torch.cat([self.rnn(x), self.lstm(x)[0], self.gru(x)], -1)


LAYER: dict[str, Any] = {
    "dim_feedforward": 12, "dropout": 0.0, "activation": "gelu", "batch_first": True,
}  # fmt: skip


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.positions = nn.Parameter(torch.zeros(5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, norm_first=True, **LAYER)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
        self.head = nn.Linear(8, 11, bias=False)

    def forward(self, tokens: Any) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(5)
        return self.head(self.encoder(self.embedding(tokens) + self.positions, mask, is_causal=True))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, **LAYER), 1)
        self.cross = nn.MultiheadAttention(8, 2, kdim=3, vdim=3, batch_first=True)

    def forward(self, x: Any) -> Any:
        keys = x[:, :, :3]
        return self.cross(self.decoder(x, x[:, 1:]), keys, keys)[0]


def cnn() -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, (1, 2), groups=2, bias=False), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(
        features, nn.BatchNorm1d(24), nn.PReLU(), nn.Linear(24, 5), nn.Tanh(), nn.Linear(5, 2)
    )


def generator() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Unflatten(1, (4, 3, 2)),
        nn.ConvTranspose2d(4, 6, 3, 2, padding=1, output_padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(6, 12, 3, groups=6),
    )  # fmt: skip


def norms() -> nn.Module:
    class ChannelsLast(nn.RMSNorm):
        def forward(self, x: Any) -> Any:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    return nn.Sequential(
        nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.LayerNorm((4, 5, 6)), nn.PReLU(4),
        weight_norm(nn.Conv2d(4, 3, 2)), ChannelsLast(3, eps=1e-6), nn.Flatten(),
        weight_norm(nn.Linear(60, 2)),
    )  # fmt: skip


# The model, and the shape of its input as bpcore has it.
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
        ),
        (7, 6),
    ),
    "mlp_named": (Named, (7, 6)),
    "cnn": (cnn, (5, 7, 8, 2)),
    "images": (Images, (3, 5, 6, 2)),
    "signals": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(12, 2)),
        (3, 10, 2),
    ),
    "generator": (generator, (4, 5)),
    "norms": (norms, (3, 5, 6, 4)),
    "rnn": (lambda: Recurrent(nn.RNN(3, 4, nonlinearity="relu", batch_first=True), 4), (2, 5, 3)),
    "lstm": (lambda: Recurrent(nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True), 8), (2, 5, 3)),
    "gru": (lambda: Recurrent(nn.GRU(3, 4, 2, batch_first=True, bidirectional=True), 8), (2, 5, 3)),
    "cells": (Cells, (3, 3)),
    "text": (Text, (2, 5)),
    "attention": (Attention, (2, 5, 8)),
}
CHANNELS_FIRST = {"cnn", "images", "signals", "generator", "norms"}


def inputs(case: str, rng: np.random.Generator) -> np.ndarray:
    shape = CASES[case][1]
    return rng.integers(0, 11, shape) if case == "text" else rng.normal(size=shape).astype(np.float32)


def run(case: str, model: nn.Module, x: np.ndarray) -> np.ndarray:
    """The output for `x`, both as bpcore has them."""
    given = torch.tensor(x)
    with torch.no_grad():
        if case in CHANNELS_FIRST:
            y = model(given.movedim(-1, 1).contiguous()).movedim(1, -1)
        else:
            y = model(given)
    return y.numpy()


def randomize(model: nn.Module, rng: np.random.Generator) -> None:
    """Values of their own for everything: means, variances and slopes near 1, where 0 would be no test."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                value.fill_(12)
            elif value.ndim == 1 or name.endswith("original0"):
                value.copy_(torch.tensor(rng.uniform(0.3, 1.2, value.shape)))
            else:
                value.copy_(torch.tensor(rng.normal(0, 0.4, value.shape)))


def make() -> None:
    file: dict[str, np.ndarray] = {}
    for number, case in enumerate(CASES):
        rng = np.random.default_rng([51, number])
        model = CASES[case][0]().eval()
        randomize(model, rng)
        x = inputs(case, rng)
        file[f"{case}/x"], file[f"{case}/y"] = x, run(case, model, x)
        for name, value in model.state_dict().items():
            file[f"{case}/w/{name}"] = value.numpy()
    np.savez_compressed(Path(__file__).with_name("interop.npz"), **file)


def check() -> None:
    """Models of bpcore, trained a little, and what PyTorch makes of their weights."""
    import bpcore as bp
    from bpcore import pytorch
    from tests.golden.interop_models import CASES as MODELS

    for number, case in enumerate(CASES):
        rng = np.random.default_rng([52, number])
        x, ours = inputs(case, rng), MODELS[case].make()
        trainer = bp.Trainer(
            ours, objective=lambda m, x: bp.ops.mean((m(x) - 0.7) ** 2), optimizer=bp.optim.Adam(0.03)
        )
        for _ in range(30):
            trainer.step(x)
        tensors = pytorch.state_dict(ours, **MODELS[case].options)
        theirs = CASES[case][0]().eval()
        theirs.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()}, strict=True)
        error = float(np.abs(run(case, theirs, x) - ours(x)).max())
        print(f"{case:10}  largest difference {error:.1e}")
        assert error <= 1e-5, case


if __name__ == "__main__":
    torch.set_num_threads(1)
    check() if sys.argv[1:] == ["check"] else make()
