"""The layered networks in bpcore, as its users run them: epochs of `fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpcore as bp
from bpcore import optim

if TYPE_CHECKING:
    from layered_networks import LayeredNetwork


class Contender:
    def __init__(self, network: LayeredNetwork, threads: int) -> None:
        self._trainer = bp.Trainer(network.model(), "cross_entropy", optim.Adam(1e-3), threads=threads)
        self._network = network

    def losses(self, count: int) -> list[float]:
        return [self._trainer.step(x, y) for x, y in self._network.batches(count)]

    def epoch(self) -> int:
        """One epoch of `fit`, which checks the data, too."""
        x, y, batch = self._network.x, self._network.y, self._network.batch
        self._trainer.fit(x, y, epochs=1, batch_size=batch, progress=False)
        return len(x) // batch
