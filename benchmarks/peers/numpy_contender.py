"""NumPy by hand: what one would write without a library, with the temporaries that cost most avoided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dense_network import DenseNetwork


class Contender:
    def __init__(self, network: DenseNetwork, threads: int) -> None:  # noqa: ARG002  set for OpenBLAS outside
        self._network = network
        self._parameters = [array for pair in network.weights() for array in pair]
        self._first = [np.zeros_like(array) for array in self._parameters]
        self._second = [np.zeros_like(array) for array in self._parameters]
        self._steps = 0
        self._random = np.random.default_rng(0)

    def _forward(self, x: np.ndarray) -> list[np.ndarray]:
        """The input and every layer's output; the last ones are logits."""
        outputs = [x]
        weights, biases = self._parameters[::2], self._parameters[1::2]
        for weight, bias in zip(weights, biases, strict=True):
            y = outputs[-1] @ weight
            y += bias
            outputs.append(y if weight is weights[-1] else np.maximum(y, 0, out=y))
        return outputs

    def _step(self, x: np.ndarray, y: np.ndarray) -> float:
        *inputs, logits = self._forward(x)
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = float((np.log(sums[:, 0]) - logits[rows, y]).mean())

        gradient = exponentials / sums
        gradient[rows, y] -= 1
        gradient /= len(y)
        gradients = []
        for i in reversed(range(len(inputs))):
            gradients += [gradient.sum(axis=0), inputs[i].T @ gradient]
            if i > 0:
                gradient = gradient @ self._parameters[2 * i].T
                gradient *= inputs[i] > 0
        self._update(gradients[::-1])
        return loss

    def _update(self, gradients: list[np.ndarray]) -> None:
        self._steps += 1
        rate, root = 1e-3 / (1 - 0.9**self._steps), 1 / np.sqrt(np.float32(1 - 0.999**self._steps))
        for w, m, v, g in zip(self._parameters, self._first, self._second, gradients, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g * g
            w -= rate * m / (np.sqrt(v) * root + 1e-8)

    def losses(self, count: int) -> list[float]:
        return [self._step(x, y) for x, y in self._network.batches(count)]

    def epoch(self) -> int:
        """At most 2,000 steps of an epoch."""
        order = self._network.shuffled(self._random, 2000)
        for rows in order:
            self._step(self._network.x[rows], self._network.y[rows])
        return len(order)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        return float((self._forward(x)[-1].argmax(axis=1) == y).mean())
