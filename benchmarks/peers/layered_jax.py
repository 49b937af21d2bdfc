"""The layered networks in JAX, a jitted call a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax_dense
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable

    from layered_networks import LayeredNetwork

Weights = dict[str, jax.Array]


def linear(w: Weights, name: str, x: jax.Array, part: str = "") -> jax.Array:
    return x @ w[f"{name}.{part}weight"] + w[f"{name}.{part}bias"]


def conv(w: Weights, name: str, x: jax.Array) -> jax.Array:
    y = lax.conv_general_dilated(
        x, w[f"{name}.weight"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(y + w[f"{name}.bias"])


def pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def norm(w: Weights, name: str, x: jax.Array) -> jax.Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def cnn(w: Weights, x: jax.Array) -> jax.Array:
    x = pool(conv(w, "1", conv(w, "0", x))).reshape(len(x), -1)
    return linear(w, "5", jax.nn.relu(linear(w, "4", x)))


def lenet(w: Weights, x: jax.Array) -> jax.Array:
    x = pool(conv(w, "2", pool(conv(w, "0", x)))).reshape(len(x), -1)
    return linear(w, "6", jax.nn.relu(linear(w, "5", x)))


def lstm(w: Weights, name: str, x: jax.Array) -> jax.Array:
    """The hidden states (time, batch, units) of x (batch, time, features)."""
    gates = jnp.swapaxes(linear(w, f"{name}.cells.0", x), 0, 1)
    zero = jnp.zeros((x.shape[0], w[f"{name}.cells.0.recurrent_weight"].shape[0]))

    def step(state: Any, part: jax.Array) -> Any:
        h, c = state
        i, f, g, o = jnp.split(part + h @ w[f"{name}.cells.0.recurrent_weight"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (zero, zero), gates)[1]


def gru(w: Weights, name: str, x: jax.Array) -> jax.Array:
    gates = jnp.swapaxes(linear(w, f"{name}.cells.0", x), 0, 1)
    zero = jnp.zeros((x.shape[0], w[f"{name}.cells.0.recurrent_weight"].shape[0]))

    def step(h: jax.Array, part: jax.Array) -> Any:
        r_x, z_x, n_x = jnp.split(part, 3, axis=-1)
        r_h, z_h, n_h = jnp.split(h @ w[f"{name}.cells.0.recurrent_weight"], 3, axis=-1)
        r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
        n = jnp.tanh(n_x + r * (n_h + w[f"{name}.cells.0.recurrent_bias"]))
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(step, zero, gates)[1]


def rnn(w: Weights, name: str, x: jax.Array) -> jax.Array:
    parts = jnp.swapaxes(linear(w, f"{name}.cells.0", x), 0, 1)
    zero = jnp.zeros((x.shape[0], w[f"{name}.cells.0.recurrent_weight"].shape[0]))

    def step(h: jax.Array, part: jax.Array) -> Any:
        h = jnp.tanh(part + h @ w[f"{name}.cells.0.recurrent_weight"])
        return h, h

    return lax.scan(step, zero, parts)[1]


def characters(layer: Any) -> Callable[[Weights, jax.Array], jax.Array]:
    return lambda w, x: jnp.swapaxes(linear(w, "2", layer(w, "1", w["0.weight"][x])), 0, 1)


def series(layer: Any) -> Callable[[Weights, jax.Array], jax.Array]:
    return lambda w, x: linear(w, "1", layer(w, "0", x)[-1])


def gpt(w: Weights, tokens: jax.Array) -> jax.Array:
    batch, time = tokens.shape
    x = w["embedding.weight"][tokens] + w["positions.weight"]
    causal = jnp.tril(jnp.ones((time, time), bool))
    for i in range(sum(name.endswith(".attention.in_weight") for name in w)):
        name = f"blocks.layers.{i}"
        parts = linear(w, f"{name}.attention", norm(w, f"{name}.norm1", x), "in_")
        q, k, v = (each.reshape(batch, time, 4, -1) for each in jnp.split(parts, 3, axis=-1))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
        shares = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", shares, v).reshape(x.shape)
        x = x + linear(w, f"{name}.attention", mixed, "out_")
        hidden = jax.nn.gelu(linear(w, f"{name}.dense1", norm(w, f"{name}.norm2", x)), approximate=False)
        x = x + linear(w, f"{name}.dense2", hidden)
    return linear(w, "head", norm(w, "blocks.norm", x))


MODELS: dict[str, Callable[[Weights, jax.Array], jax.Array]] = {
    "CNN": cnn,
    "LeNet": lenet,
    "LSTM 128": characters(lstm),
    "GRU 128": characters(gru),
    "LSTM 64": series(lstm),
    "RNN 64": series(rnn),
    "GPT": gpt,
}


class Contender:
    def __init__(self, network: LayeredNetwork, threads: int) -> None:  # noqa: ARG002  JAX takes the process's CPUs
        logits = MODELS[network.name.partition(",")[0]]

        def loss(weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
            scores = jax.nn.log_softmax(logits(weights, x))
            return -jnp.take_along_axis(scores, y[..., None], axis=-1).mean()

        def step(state: jax_dense.State, x: jax.Array, y: jax.Array, rows: jax.Array) -> Any:
            return jax_dense.adam(loss, state, x[rows], y[rows])

        self._step = jax.jit(step, donate_argnums=0)
        self._state = jax_dense.before_adam({name: jnp.asarray(a) for name, a in network.weights().items()})
        self._x, self._y = jnp.asarray(network.x), jnp.asarray(network.y)
        self._network = network
        self._random = np.random.default_rng(0)

    def losses(self, count: int) -> list[float]:
        order = np.arange(count * self._network.batch, dtype=np.int32).reshape(count, -1)
        return [self._one(rows).item() for rows in order]

    def _one(self, rows: np.ndarray) -> jax.Array:
        self._state, loss = self._step(self._state, self._x, self._y, rows)
        return loss

    def epoch(self) -> int:
        order = self._network.shuffled(self._random).astype(np.int32)
        for rows in order:
            loss = self._one(rows)
        loss.block_until_ready()
        return len(order)
