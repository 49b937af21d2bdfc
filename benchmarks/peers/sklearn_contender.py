"""scikit-learn's MLPClassifier, an epoch a call of `partial_fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.neural_network import MLPClassifier

if TYPE_CHECKING:
    from dense_network import DenseNetwork


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:  # noqa: ARG002  set for OpenBLAS outside
        self._network = network
        self._model = MLPClassifier(
            network.sizes[1:-1], alpha=0, batch_size=network.batch, shuffle=False, n_iter_no_change=10**9
        )
        # There is no way in for weights but to train once and to take back what that has done.
        x, y = network.batches(1)[0]
        self._model.partial_fit(x, y, classes=np.arange(network.sizes[-1]))
        weights = network.weights()
        self._model.coefs_ = [weight for weight, _ in weights]
        self._model.intercepts_ = [bias for _, bias in weights]
        del self._model._optimizer

    def losses(self, count: int) -> list[float]:
        losses = []
        for x, y in self._network.batches(count):
            self._model.partial_fit(x, y)
            losses.append(self._model.loss_)
        return losses

    def epoch(self) -> int:
        """At most 2,000 steps of an epoch."""
        self._model.shuffle = True
        x, y, batch = self._network.x, self._network.y, self._network.batch
        rows = min(len(x), 2000 * batch)
        self._model.partial_fit(x[:rows], y[:rows])
        return -(-rows // batch)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(self._model.score(x, y))
