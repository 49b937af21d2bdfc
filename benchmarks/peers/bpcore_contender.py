"""bpcore, as its users run it: epochs of `fit`, shuffling and gathering batches included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpcore as bp
from bpcore import nn, optim

if TYPE_CHECKING:
    import numpy as np
    from dense_network import DenseNetwork


def model_of(network: DenseNetwork) -> nn.Module:
    """The network with its weights."""
    *hidden, last = network.sizes[1:]
    model = nn.Sequential(*(nn.Dense(size, activation="relu") for size in hidden), nn.Dense(last))
    model.build(network.sizes[0])
    for i, (weight, bias) in enumerate(network.weights()):
        model.parameters[f"{i}.weight"][...] = weight
        model.parameters[f"{i}.bias"][...] = bias
    return model


def trainer_of(network: DenseNetwork, threads: int) -> bp.Trainer:
    """A trainer of the network."""
    return bp.Trainer(model_of(network), "cross_entropy", optim.Adam(1e-3), threads=threads)


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        self._trainer = trainer_of(network, threads)
        self._network = network

    def losses(self, count: int) -> list[float]:
        return [self._trainer.step(x, y) for x, y in self._network.batches(count)]

    def epoch(self) -> int:
        """One epoch of `fit`, which checks the data, too."""
        x, y, batch = self._network.x, self._network.y, self._network.batch
        self._trainer.fit(x, y, epochs=1, batch_size=batch, progress=False)
        return -(-len(x) // batch)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        return float((self._trainer.predict(x).argmax(1) == y).mean())
