"""The network, its loss, Adam and the data in JAX: what both JAX contenders share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from dense_network import DenseNetwork

State = Any  # (weights, first moments, second moments, steps done)


def state_of(network: DenseNetwork) -> State:
    """The weights, and Adam before its first step."""
    return before_adam([(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in network.weights()])


def before_adam(weights: Any) -> State:
    """What Adam knows before its first step."""
    first, second = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    return weights, first, second, jnp.float32(0)


def logits(weights: Any, x: jax.Array) -> jax.Array:
    """The network's output (batch, classes)."""
    *hidden, (last, bias) = weights
    for weight, offset in hidden:
        x = jax.nn.relu(x @ weight + offset)
    return x @ last + bias


def _loss(weights: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    scores = jax.nn.log_softmax(logits(weights, x))
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()


def step(state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
    """One step of Adam: the new state, and the loss before it."""
    return adam(_loss, state, x, y)


def adam(of: Callable[..., jax.Array], state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
    """The same for the loss `of(weights, x, y)`."""
    weights, first, second, count = state
    loss, gradients = jax.value_and_grad(of)(weights, x, y)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    rate, root = 1e-3 / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) * root + 1e-8), weights, first, second)
    return (weights, first, second, count), loss


class Contender:
    """The data as JAX's arrays, and the state that steps replace."""

    def __init__(self, network: DenseNetwork, threads: int) -> None:  # noqa: ARG002  JAX takes the process's CPUs
        self._network = network
        self._state = state_of(network)
        self._x, self._y = jnp.asarray(network.x), jnp.asarray(network.y)
        self._random = np.random.default_rng(0)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        return float((jax.jit(logits)(self._state[0], x).argmax(1) == y).mean())
