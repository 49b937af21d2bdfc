"""The layered networks in PyTorch, eager, with its fused Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from layered_networks import LayeredNetwork

    Weights = dict[str, np.ndarray]


def parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array).contiguous())


def linear(weights: Weights, name: str, part: str = "") -> nn.Linear:
    """bpcore's `name`.weight (in, out) and .bias, or those of a `part` of it, as a layer of PyTorch."""
    weight, bias = weights[f"{name}.{part}weight"], weights[f"{name}.{part}bias"]
    layer = nn.Linear(*weight.shape)
    layer.weight, layer.bias = parameter(weight.T), parameter(bias)
    return layer


def conv(weights: Weights, name: str) -> nn.Conv2d:
    """The same of (height, width, in, out)."""
    height, width, channels, filters = weights[f"{name}.weight"].shape
    layer = nn.Conv2d(channels, filters, (height, width))
    layer.weight = parameter(weights[f"{name}.weight"].transpose(3, 2, 0, 1))
    layer.bias = parameter(weights[f"{name}.bias"])
    return layer


def embedding(weights: Weights, name: str) -> nn.Embedding:
    layer = nn.Embedding(*weights[f"{name}.weight"].shape)
    layer.weight = parameter(weights[f"{name}.weight"])
    return layer


def norm(weights: Weights, name: str) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(weights[f"{name}.weight"]))
    layer.weight, layer.bias = parameter(weights[f"{name}.weight"]), parameter(weights[f"{name}.bias"])
    return layer


def recurrent(kind: type[nn.RNNBase], weights: Weights, name: str) -> nn.RNNBase:
    """The same of a recurrent layer. PyTorch has a second bias; it stays zero where bpcore has none."""
    into, state = weights[f"{name}.cells.0.weight"], weights[f"{name}.cells.0.recurrent_weight"]
    layer = kind(into.shape[0], state.shape[0], batch_first=True)
    layer.weight_ih_l0, layer.weight_hh_l0 = parameter(into.T), parameter(state.T)
    layer.bias_ih_l0 = parameter(weights[f"{name}.cells.0.bias"])
    layer.bias_hh_l0.data.zero_()
    if kind is nn.GRU:
        size = state.shape[0]
        layer.bias_hh_l0.data[2 * size :] = torch.from_numpy(weights[f"{name}.cells.0.recurrent_bias"])
        inside = torch.arange(3 * size) >= 2 * size
        layer.bias_hh_l0.register_hook(lambda gradient: gradient * inside)
    else:
        layer.bias_hh_l0.requires_grad_(False)
    layer.flatten_parameters()
    return layer


class Output(nn.Module):
    """The first of a recurrent layer's results."""

    def __init__(self, layer: nn.RNNBase, last: bool) -> None:
        super().__init__()
        self.layer, self.last = layer, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.layer(x)[0]
        return steps[:, -1] if self.last else steps


class ChannelsFirst(nn.Module):
    """(batch, height, width, channels) as PyTorch's convolutions want it, or back: only the view changes."""

    def __init__(self, back: bool = False) -> None:
        super().__init__()
        self.order = (0, 2, 3, 1) if back else (0, 3, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.order)


class Block(nn.Module):
    """A pre-norm block of a GPT with `heads` heads."""

    def __init__(self, weights: Weights, name: str, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([norm(weights, f"{name}.norm1"), norm(weights, f"{name}.norm2")])
        self.into = linear(weights, f"{name}.attention", "in_")
        self.out = linear(weights, f"{name}.attention", "out_")
        self.up, self.down = linear(weights, f"{name}.dense1"), linear(weights, f"{name}.dense2")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        q, k, v = (
            each.view(batch, time, self.heads, -1).transpose(1, 2)
            for each in self.into(self.norms[0](x)).split(width, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time, width))
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class Gpt(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.embedding = embedding(weights, "embedding")
        self.positions = parameter(weights["positions.weight"])
        count = sum(name.endswith(".attention.in_weight") for name in weights)
        self.blocks = nn.Sequential(*(Block(weights, f"blocks.layers.{i}", 4) for i in range(count)))
        self.norm, self.head = norm(weights, "blocks.norm"), linear(weights, "head")

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.embedding(tokens) + self.positions)))


def images(
    first: int, second: int, pools: tuple[bool, bool], channels_last: bool
) -> Callable[[Weights], nn.Module]:
    """Two convolutions at positions `first` and `second` of bpcore's model, and two dense layers."""

    def make(weights: Weights) -> nn.Module:
        dense = sorted({int(name.split(".")[0]) for name in weights} - {first, second})
        parts: list[nn.Module] = [ChannelsFirst()]
        for place, pooled in zip((first, second), pools, strict=True):
            parts += [conv(weights, str(place)), nn.ReLU()] + [nn.MaxPool2d(2)] * pooled
        if channels_last:
            parts.append(ChannelsFirst(back=True))
        else:  # the same network with the rows of the dense layer's weight in PyTorch's order
            channels, name = weights[f"{second}.bias"].size, f"{dense[0]}.weight"
            side = int((len(weights[name]) // channels) ** 0.5)
            rows = np.arange(len(weights[name])).reshape(side, side, channels).transpose(2, 0, 1).ravel()
            weights = weights | {name: weights[name][rows]}
        parts += [nn.Flatten(), linear(weights, str(dense[0])), nn.ReLU(), linear(weights, str(dense[1]))]
        model = nn.Sequential(*parts)
        return model.to(memory_format=torch.channels_last) if channels_last else model

    return make


def characters(kind: type[nn.RNNBase]) -> Callable[[Weights], nn.Module]:
    return lambda weights: nn.Sequential(
        embedding(weights, "0"), Output(recurrent(kind, weights, "1"), last=False), linear(weights, "2")
    )


def series(kind: type[nn.RNNBase]) -> Callable[[Weights], nn.Module]:
    return lambda weights: nn.Sequential(
        Output(recurrent(kind, weights, "0"), last=True), linear(weights, "1")
    )


MODELS: dict[str, Callable[[Weights], nn.Module]] = {
    "CNN": images(0, 1, (False, True), channels_last=True),
    "LeNet": images(0, 2, (True, True), channels_last=True),
    "LSTM 128": characters(nn.LSTM),
    "GRU 128": characters(nn.GRU),
    "LSTM 64": series(nn.LSTM),
    "RNN 64": series(nn.RNN),
    "GPT": Gpt,
}
CHANNELS_FIRST = {
    "CNN": images(0, 1, (False, True), channels_last=False),
    "LeNet": images(0, 2, (True, True), channels_last=False),
}


class Contender:
    models = MODELS

    def __init__(self, network: LayeredNetwork, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = self.models[network.name.partition(",")[0]](network.weights())
        trained = [each for each in self._model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=1e-3, fused=True)
        self._x, self._y = torch.from_numpy(network.x), torch.from_numpy(network.y)
        self._network = network

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = functional.cross_entropy(self._model(x).flatten(0, -2), y.flatten())
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss

    def losses(self, count: int) -> list[float]:
        batches = self._network.batches(count)
        return [self._step(torch.from_numpy(x), torch.from_numpy(y)).item() for x, y in batches]

    def epoch(self) -> int:
        order = torch.randperm(len(self._x)).split(self._network.batch)
        for rows in order:
            self._step(self._x[rows], self._y[rows])
        return len(order)


class ChannelsFirstContender(Contender):
    """Images in PyTorch's own order of axes."""

    models = CHANNELS_FIRST
