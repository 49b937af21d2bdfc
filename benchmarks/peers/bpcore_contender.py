"""bpcore, as its users run it: epochs of `fit`, shuffling and gathering batches included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpcore as bp
from bpcore import nn, optim

if TYPE_CHECKING:
    import numpy as np
    from dense_network import DenseNetwork


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        *hidden, last = network.sizes[1:]
        model = nn.Sequential(*(nn.Dense(size, activation="relu") for size in hidden), nn.Dense(last))
        model.build(network.sizes[0])
        for i, (weight, bias) in enumerate(network.weights()):
            model.parameters[f"{i}.weight"][...] = weight
            model.parameters[f"{i}.bias"][...] = bias
        optimizer = optim.Adam(1e-3)
        self._trainer = bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], threads=threads)
        self._x, self._y, self._batch = network.x, network.y, network.batch

    def losses(self, count: int) -> list[float]:
        """The losses of the first `count` batches, in the order of the data."""
        batches = (slice(i * self._batch, (i + 1) * self._batch) for i in range(count))
        return [self._trainer.step(self._x[batch], self._y[batch]) for batch in batches]

    def epoch(self) -> int:
        """Trains for one shuffled epoch, checking the data included, and returns its number of steps."""
        self._trainer.fit(self._x, self._y, epochs=1, batch_size=self._batch, progress=False)
        return -(-len(self._x) // self._batch)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """The share of right predictions."""
        return self._trainer.evaluate(x, y)["accuracy"]
