"""JAX with a whole epoch in one `jax.jit`, by `lax.scan`; batches are gathered inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax_dense
import numpy as np

if TYPE_CHECKING:
    from dense_network import DenseNetwork


def _epoch(
    state: jax_dense.State, x: jax.Array, y: jax.Array, order: jax.Array
) -> tuple[jax_dense.State, jax.Array]:
    """Steps on the rows of each line of `order` (steps, batch): the new state and the losses (steps,)."""

    def step(state: jax_dense.State, rows: jax.Array) -> tuple[jax_dense.State, jax.Array]:
        return jax_dense.step(state, x[rows], y[rows])

    return jax.lax.scan(step, state, order)


class Contender(jax_dense.Contender):
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        super().__init__(network, threads)
        self._epoch = jax.jit(_epoch, donate_argnums=0)

    def losses(self, count: int) -> list[float]:
        order = np.arange(count * self._network.batch, dtype=np.int32).reshape(count, -1)
        self._state, losses = self._epoch(self._state, self._x, self._y, order)
        return losses.tolist()

    def epoch(self) -> int:
        """The full batches of an epoch."""
        order = self._network.shuffled(self._random).astype(np.int32)
        self._state, losses = self._epoch(self._state, self._x, self._y, order)
        losses.block_until_ready()
        return len(order)
