"""A dense network and its data, the same for every contender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DenseNetwork:
    """A network in-hidden-…-out with relu between; data x (samples, in) float32, y (samples,) int64."""

    sizes: tuple[int, ...]
    batch: int
    x: np.ndarray
    y: np.ndarray

    @staticmethod
    def on_noise(sizes: tuple[int, ...], batch: int, steps: int) -> DenseNetwork:
        """Random data of `steps` batches, where only the time matters."""
        random = np.random.default_rng(1)
        x = random.standard_normal((steps * batch, sizes[0]), np.float32)
        return DenseNetwork(sizes, batch, x, random.integers(0, sizes[-1], steps * batch))

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(in, out) of each layer."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> int:
        """Of a step's products: 6·batch·in·out a layer, 4 for the first, whose input needs no gradient."""
        return sum((4 if i == 0 else 6) * self.batch * n * m for i, (n, m) in enumerate(self.layers))

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(weight (in, out), bias (out,)) a layer: He normal and zero."""
        random = np.random.default_rng(0)
        return [
            ((random.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32), np.zeros(m, np.float32))
            for n, m in self.layers
        ]

    def batches(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The first `count` batches (x, y), in the order of the data."""
        cuts = [slice(i * self.batch, (i + 1) * self.batch) for i in range(count)]
        return [(self.x[cut], self.y[cut]) for cut in cuts]

    def shuffled(self, random: np.random.Generator, most: int | None = None) -> np.ndarray:
        """The rows of an epoch's full batches in a new order (steps, batch), at most `most` of them."""
        steps = min(len(self.x) // self.batch, most or len(self.x))
        return random.permutation(len(self.x))[: steps * self.batch].reshape(steps, self.batch)
