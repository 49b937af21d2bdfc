"""The models of the interop tests, as bpcore has them: make_interop.py has the same ones in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bpcore import nn, ops

__all__ = ["CASES", "Case"]


class Case(NamedTuple):
    """A model, the arguments of `bpcore.pytorch`, and the tensors that don't come back as they were."""

    make: Callable[[], nn.Module]
    options: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it
    summed: bool = False  # two biases in PyTorch, whose sum is what comes back


class Recurrent(nn.Module):
    """A recurrent layer over all steps, and a dense one on each."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer, self.head = layer, nn.Dense(2)

    def __call__(self, x: Any) -> Any:
        return self.head(self.layer(x))


class Cells(nn.Module):
    """One step of each kind."""

    def __init__(self) -> None:
        self.rnn, self.lstm, self.gru = nn.RNNCell(4), nn.LSTMCell(4), nn.GRUCell(4)

    def __call__(self, x: Any) -> Any:
        return ops.concatenate([self.rnn(x)[0], self.lstm(x)[0], self.gru(x)[0]], -1)


class Text(nn.Module):
    """A small language model, with an own parameter for positions."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(11, 8)
        self.positions = nn.Parameter((5, 8), "normal")
        self.encoder = nn.TransformerEncoder(2, 8, 2, 12, causal=True)
        self.head = nn.Dense(11, use_bias=False)

    def __call__(self, tokens: Any) -> Any:
        return self.head(self.encoder(self.embedding(tokens) + self.positions))


class Attention(nn.Module):
    """A decoder, then attention whose keys have another width."""

    def __init__(self) -> None:
        self.decoder = nn.TransformerDecoder(1, 8, 2, 12, causal=False, norm_first=False, final_norm=False)
        self.cross = nn.MultiHeadAttention(2, width=8, key_width=3, value_width=3)

    def __call__(self, x: Any) -> Any:
        return self.cross(self.decoder(x, x[:, 1:]), x[:, :, :3])


class Images(nn.Module):
    """A network whose Flatten is in no Sequential."""

    def __init__(self) -> None:
        self.conv, self.fc = nn.Conv2D(3, 3, padding=1), nn.Dense(4)
        self.flatten = nn.Flatten()

    def __call__(self, x: Any) -> Any:
        return self.fc(self.flatten(ops.relu(self.conv(x))))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5), nn.Dense(3))


def _cnn() -> nn.Module:
    features = nn.Sequential(
        nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2D(2),
        nn.Conv2D(6, 2, (1, 2), groups=2, use_bias=False), nn.Flatten(),
    )  # fmt: skip
    return nn.Sequential(features, nn.BatchNorm(), nn.PReLU(), nn.Dense(5), nn.Tanh(), nn.Dense(2))


def _signals() -> nn.Module:
    return nn.Sequential(nn.Conv1D(3, 3), nn.ReLU(), nn.AvgPool1D(2), nn.Flatten(), nn.Dense(2))


def _generator() -> nn.Module:
    return nn.Sequential(
        nn.Dense(24), nn.BatchNorm(), nn.ReLU(), nn.Reshape((3, 2, 4)),
        nn.ConvTranspose2D(6, 3, 2, padding=1, output_padding=1, groups=2), nn.ReLU(),
        nn.DepthwiseConv2D(3, depth_multiplier=2),
    )  # fmt: skip


def _norms() -> nn.Module:
    return nn.Sequential(
        nn.GroupNorm(2), nn.InstanceNorm(affine=True), nn.LayerNorm((5, 6, 4)), nn.PReLU(4),
        nn.WeightNorm(nn.Conv2D(3, 2)), nn.RMSNorm(eps=1e-6), nn.Flatten(), nn.WeightNorm(nn.Dense(2)),
    )  # fmt: skip


CASES: dict[str, Case] = {
    "mlp": Case(_mlp),
    "mlp_named": Case(_mlp, {"names": {"0": "fc1", "1": "bn", "4.weight": "fc2.weight", "4": "fc2"}}),
    "cnn": Case(_cnn),
    "images": Case(Images, {"flatten": {"fc": (3, 5, 6)}}),
    "signals": Case(_signals),
    "generator": Case(_generator),
    "norms": Case(_norms),
    "rnn": Case(lambda: Recurrent(nn.RNN(4, True, activation="relu")), summed=True),
    "lstm": Case(lambda: Recurrent(nn.LSTM(4, True, layers=2, bidirectional=True)), summed=True),
    "gru": Case(lambda: Recurrent(nn.GRU(4, True, layers=2, bidirectional=True)), summed=True),
    "cells": Case(Cells, summed=True),
    "text": Case(Text),
    "attention": Case(Attention),
}
