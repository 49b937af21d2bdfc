"""PyTorch, eager, with its fused Adam. Batches are slices of tensors in memory: no DataLoader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from dense_network import DenseNetwork


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        torch.set_num_threads(threads)
        layers: list[torch.nn.Module] = []
        for weight, bias in network.weights():
            layer = torch.nn.Linear(*weight.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weight.T))
                layer.bias.copy_(torch.from_numpy(bias))
            layers += [layer, torch.nn.ReLU()]
        self._model = torch.nn.Sequential(*layers[:-1])
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=1e-3, fused=True)
        self._x, self._y = torch.from_numpy(network.x), torch.from_numpy(network.y)
        self._batch = network.batch

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = torch.nn.functional.cross_entropy(self._model(x), y)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss

    def losses(self, count: int) -> list[float]:
        """The losses of the first `count` batches, in the order of the data."""
        batches = (slice(i * self._batch, (i + 1) * self._batch) for i in range(count))
        return [self._step(self._x[batch], self._y[batch]).item() for batch in batches]

    def epoch(self) -> int:
        """Trains for one shuffled epoch, at most 2,000 steps of it, and returns how many."""
        order = torch.randperm(len(self._x)).split(self._batch)[:2000]
        for rows in order:
            self._step(self._x[rows], self._y[rows])
        return len(order)

    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """The share of right predictions."""
        with torch.no_grad():
            return (self._model(torch.from_numpy(x)).argmax(1) == torch.from_numpy(y)).float().mean().item()
