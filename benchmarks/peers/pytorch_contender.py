"""PyTorch, eager, with its fused Adam. Batches are slices of tensors in memory: no DataLoader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from dense_network import DenseNetwork


def model_of(network: DenseNetwork) -> torch.nn.Sequential:
    """The network with its weights."""
    layers: list[torch.nn.Module] = []
    for weight, bias in network.weights():
        layer = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.copy_(torch.from_numpy(bias))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = model_of(network)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=1e-3, fused=True)
        self._x, self._y = torch.from_numpy(network.x), torch.from_numpy(network.y)
        self._network = network

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self._model(x), y)

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = self._loss(x, y)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss

    def losses(self, count: int) -> list[float]:
        batches = self._network.batches(count)
        return [self._step(torch.from_numpy(x), torch.from_numpy(y)).item() for x, y in batches]

    def epoch(self) -> int:
        """At most 2,000 steps of an epoch; a step of a small network takes 200 times bpcore's."""
        order = torch.randperm(len(self._x)).split(self._network.batch)[:2000]
        for rows in order:
            self._step(self._x[rows], self._y[rows])
        return len(order)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        with torch.no_grad():
            return (self._model(torch.from_numpy(x)).argmax(1) == torch.from_numpy(y)).float().mean().item()
