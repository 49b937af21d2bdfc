"""Recurrence over all steps of a sequence in one op; the products with the input come before.

`gates_x` (batch, steps, gates · units) is what the input adds to each gate, biases included: ``dense(x,
weight, bias)``, one product for all steps. Gates follow each other, `units` wide. `lengths` (batch,), int64,
each from 1 to steps, says where a sequence ends: beyond its end outputs are zero, and its last state is that
of its own last step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.arrays import kind_of
from bpcore.symbolic import operators
from bpcore.symbolic.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["gru", "lstm", "rnn"]


def rnn(gates_x: Any, weight: Any, h0: Any, lengths: Any = None, activation: str = "tanh") -> tuple[Any, Any]:
    """h' = activation(x + h @ weight) at each step: all h (batch, steps, units) and the last (batch, units).

    `gates_x` (batch, steps, units), `weight` (units, units), `h0` (batch, units); `activation` is "tanh" or
    "relu". Source: J. Elman, Finding structure in time (1990).
    """
    output, last = _run("rnn", (gates_x, weight, h0), lengths, 1, {"activation": activation})
    return output, last


def lstm(gates_x: Any, weight: Any, h0: Any, c0: Any, lengths: Any = None) -> tuple[Any, Any, Any]:
    """Long short-term memory: all h (batch, steps, units), the last h and the last c, both (batch, units).

    At each step, with gates i, f, g, o in this order, c' = σ(f) · c + σ(i) · tanh(g), h' = σ(o) · tanh(c'),
    where the gates are x + h @ weight.

    `gates_x` (batch, steps, 4 · units), `weight` (units, 4 · units), `h0`, `c0` (batch, units). Source: S.
    Hochreiter and J. Schmidhuber, Long short-term memory (1997), with the forget gate of F. Gers et al.
    """
    output, last_h, last_c = _run("lstm", (gates_x, weight, h0, c0), lengths, 2, {})
    return output, last_h, last_c


def gru(gates_x: Any, weight: Any, bias: Any, h0: Any, lengths: Any = None) -> tuple[Any, Any]:
    """Gated recurrent units: all h (batch, steps, units) and the last one (batch, units).

    At each step, with gates r, z, n in this order, r and z being σ(x + h @ weight), n = tanh(x_n + r · (h @
    weight_n + bias)), h' = (1 - z) · n + z · h: the reset gate comes after the recurrent product.

    `gates_x` (batch, steps, 3 · units), `weight` (units, 3 · units), `bias` (units,), `h0` (batch, units).
    Source: K. Cho et al., Learning phrase representations using RNN encoder-decoder (2014), in the form of
    cuDNN and PyTorch.
    """
    output, last = _run("gru", (gates_x, weight, bias, h0), lengths, 1, {})
    return output, last


def _run(
    op: str, values: Sequence[Any], lengths: Any, states: int, attributes: Mapping[str, Any]
) -> list[Any]:
    """The outputs and the last `states`, parts of the op's record, each at a multiple of 16 elements."""
    inputs = operators.unify(op, *values)
    if lengths is not None:
        inputs.append(_checked_lengths(op, lengths, inputs[0]))
    record = operators.add(op, inputs, attributes)
    batch, steps, _ = inputs[0].shape
    units = inputs[1].shape[0]
    parts, offset = [], 0
    for shape in [(batch, steps, units), *[(batch, units)] * states]:
        parts.append(operators.add("part", [record], {"offset": offset, "shape": list(shape)}))
        offset += -(-int(np.prod(shape)) // 16) * 16
    return parts


def _checked_lengths(op: str, lengths: Any, x: Any) -> Any:
    """`lengths` as int64; an array's values are checked now, a tensor's when it runs."""
    found = operators.operand(lengths, op)
    if isinstance(found, Tensor):
        return found
    if found.dtype != np.int64:
        raise TypeError(f"{op}: lengths must be integers, not {kind_of(found.dtype)}")
    if x.ndim == 3 and found.size and not (found.min() >= 1 and found.max() <= x.shape[1]):
        raise ValueError(f"{op}: lengths must lie in [1, {x.shape[1]}], got {found.min()} to {found.max()}")
    return found
