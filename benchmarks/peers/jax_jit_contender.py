"""JAX with a step in `jax.jit`, a call a step, in place (donated buffers). Data are JAX's arrays already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax_dense
import numpy as np

if TYPE_CHECKING:
    from dense_network import DenseNetwork


class Contender(jax_dense.Contender):
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        super().__init__(network, threads)
        self._step = jax.jit(jax_dense.step, donate_argnums=0)

        def gathered(state: jax_dense.State, x: jax.Array, y: jax.Array, rows: np.ndarray) -> jax_dense.State:
            return jax_dense.step(state, x[rows], y[rows])[0]

        self._gathered_step = jax.jit(gathered, donate_argnums=0)

    def losses(self, count: int) -> list[float]:
        losses = []
        for x, y in self._network.batches(count):
            self._state, loss = self._step(self._state, x, y)
            losses.append(float(loss))
        return losses

    def epoch(self) -> int:
        """At most 5,000 steps of an epoch."""
        order = self._network.shuffled(self._random, 5000).astype(np.int32)
        for rows in order:
            self._state = self._gathered_step(self._state, self._x, self._y, rows)
        jax.block_until_ready(self._state)
        return len(order)
