"""One step of recurrence: the parameters of a recurrent layer, and its formulas in plain ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import choice, count, flag
from bpcore.basics.signatures import own_init
from bpcore.nn.init import resolve
from bpcore.nn.init.common import Settings
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter
from bpcore.nn.recurrent.states import checked_states, zeros
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array
    from bpcore.nn.init.common import Initializer

__all__ = ["Cell", "GRUCell", "LSTMCell", "RNNCell"]


class Cell(Module):
    """What the cells share: weights, how input and states are checked, and what they are made of.

    `gates` is the number of products of width `units`, `states` that of the tensors carried from step to
    step.
    """

    _set_once = ("units",)
    _not_kept = (
        "in_features", "use_bias", "kernel_init", "recurrent_init", "bias_init", "unit_forget_bias",
    )  # fmt: skip

    gates = 1
    states = 1

    def __init__(
        self,
        units: int,
        *,
        in_features: int | None = None,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        who = type(self).__name__
        self.units = count(who, "units", units, 1)
        if in_features is not None:
            in_features = count(who, "in_features", in_features, 1)
        width = self.gates * self.units
        self.weight = Parameter((in_features, width), kernel_init)
        self.recurrent_weight = Parameter((self.units, width), recurrent_init)
        self.bias = Parameter(width, bias_init) if flag(who, "use_bias", use_bias) else None
        self._add_more(bias_init)

    def _add_more(self, bias_init: Any) -> None:
        """Further parameters, behind those that all cells have."""

    @property
    def in_features(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.weight.sizes[0]

    def __call__(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """`x` (batch, in_features) and a state as this returns it, None for zeros: output and next state."""
        x = self.checked(self, x, "(batch, features)", 2)
        values = self.checked_states(state, (x.shape[0], self.units), x)
        new = self._step(self.gates_of(x), values)
        return new[0], self.joined(new)

    def checked(self, layer: Module, x: Any, form: str, axes: int) -> Any:
        """`x` as a float tensor of `axes` axes whose last one fits `layer`; in_features becomes known."""
        x = operators.operand(x, type(layer).__name__)
        if x.ndim != axes:
            raise ValueError(f"{layer._title()}: expected input of shape {form}, got {x.shape}")
        if self.in_features is None:
            self.weight.infer((x.shape[-1], self.gates * self.units))
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"{layer._title()}: expected input of {self.in_features} features, got shape {x.shape}"
            )
        return x if str(x.dtype) in FLOATS else ops.cast(x, self.weight.dtype)

    def checked_states(self, state: Any, shape: tuple[int, ...], x: Any) -> list[Any]:
        """`state` as a list of tensors of `shape`, one for each of `states`; zeros of x's dtype if None."""
        return checked_states(self._title(), state, self.states, shape, x)

    def joined(self, states: list[Any]) -> Any:
        """The state as callers see it: a tensor, or a tuple of them."""
        return states[0] if self.states == 1 else tuple(states)

    def gates_of(self, x: Any) -> Any:
        """What the input adds to the gates: `x` (..., in_features), result (..., gates · units)."""
        return ops.dense(x, self.weight, self.bias)

    def run(self, gates_x: Any, states: list[Any], lengths: Any) -> tuple[Any, ...]:
        """All steps at once: the outputs (batch, steps, units), then the last states."""
        raise NotImplementedError

    def _step(self, gates_x: Any, states: list[Any]) -> list[Any]:
        """The next states, of which the first is the output, from what the input adds to the gates."""
        raise NotImplementedError

    def options(self) -> list[str]:
        """What `repr` says of a cell, and of a layer that is made of it, beside sizes."""
        return texts.changed(Cell, use_bias=self.bias is not None)

    def _parts(self, gates: Any) -> list[Any]:
        """Gates (batch, gates · units), each by itself."""
        return [gates[:, i * self.units : (i + 1) * self.units] for i in range(self.gates)]

    def __repr__(self) -> str:
        return texts.call(self, [str(self.units), f"in_features={self.in_features}", *self.options()])


class RNNCell(Cell):
    """One step of `nn.RNN`: h' = activation(x @ weight + h @ recurrent_weight + bias).

    ``cell(x, h)`` returns (h', h'), the output and the next state: `x` (batch, in_features), `h` (batch,
    units), zeros unless given. With `nn.scan`, it does what the layer does, and a layer's own cells are
    ``layer.cells``.

    Parameters: `weight` (in_features, units), `recurrent_weight` (units, units), `bias` (units,).

    Args:
        units: size of the state.
        activation: "tanh" or "relu".
        in_features, use_bias, kernel_init, recurrent_init, bias_init: as for `nn.RNN`.

    Raises ValueError for sizes below 1 and unknown names, TypeError for sizes that are not integers.
    """

    def __init__(
        self,
        units: int,
        *,
        activation: str = "tanh",
        in_features: int | None = None,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        self.activation = choice("RNNCell", "activation", activation, ("tanh", "relu"))
        super().__init__(
            units,
            in_features=in_features,
            use_bias=use_bias,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
        )

    def run(self, gates_x: Any, states: list[Any], lengths: Any) -> tuple[Any, ...]:
        """All steps at once."""
        return ops.rnn(gates_x, self.recurrent_weight, states[0], lengths, self.activation)

    def _step(self, gates_x: Any, states: list[Any]) -> list[Any]:
        activation = ops.tanh if self.activation == "tanh" else ops.relu
        return [activation(gates_x + ops.matmul(states[0], self.recurrent_weight))]

    def options(self) -> list[str]:
        """What `repr` says of it, beside sizes."""
        return [*texts.changed(RNNCell, activation=self.activation), *super().options()]


class LSTMCell(Cell):
    """One step of `nn.LSTM`, whose formulas see.

    ``cell(x, (h, c))`` returns (h', (h', c')), the output and the next state: `x` (batch, in_features), `h`
    and `c` (batch, units), zeros unless given. With `nn.scan`, it does what the layer does, and a layer's own
    cells are ``layer.cells``.

    Parameters: `weight` (in_features, 4 · units), `recurrent_weight` (units, 4 · units), `bias` (4 · units,).

    Args:
        units: size of the state.
        unit_forget_bias: True begins with a bias of 1 for the forget gate, whatever `bias_init` says.
        in_features, use_bias, kernel_init, recurrent_init, bias_init: as for `nn.LSTM`.

    Raises ValueError for sizes below 1 and unknown names, TypeError for sizes that are not integers.
    """

    gates = 4
    states = 2

    def __init__(
        self,
        units: int,
        *,
        unit_forget_bias: bool = False,
        in_features: int | None = None,
        use_bias: bool = True,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        if flag(type(self).__name__, "unit_forget_bias", unit_forget_bias):
            bias_init = _UnitForgetBias(resolve(bias_init))
        super().__init__(
            units,
            in_features=in_features,
            use_bias=use_bias,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
        )

    def run(self, gates_x: Any, states: list[Any], lengths: Any) -> tuple[Any, ...]:
        """All steps at once."""
        return ops.lstm(gates_x, self.recurrent_weight, states[0], states[1], lengths)

    def _step(self, gates_x: Any, states: list[Any]) -> list[Any]:
        h, c = states
        i, f, g, o = self._parts(gates_x + ops.matmul(h, self.recurrent_weight))
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return [ops.sigmoid(o) * ops.tanh(c), c]


@own_init
class GRUCell(Cell):
    """One step of `nn.GRU`, whose formulas see.

    ``cell(x, h)`` returns (h', h'), the output and the next state: `x` (batch, in_features), `h` (batch,
    units), zeros unless given. With `nn.scan`, it does what the layer does, and a layer's own cells are
    ``layer.cells``.

    Parameters: `weight` (in_features, 3 · units), `recurrent_weight` (units, 3 · units), `bias` (3 ·
        units,), `recurrent_bias` (units,), the one inside of the reset.

    Args:
        units: size of the state.
        in_features, use_bias, kernel_init, recurrent_init, bias_init: as for `nn.GRU`.

    Raises ValueError for sizes below 1 and unknown names, TypeError for sizes that are not integers.
    """

    gates = 3

    def _add_more(self, bias_init: Any) -> None:
        self.recurrent_bias = None if self.bias is None else Parameter(self.units, bias_init)

    def run(self, gates_x: Any, states: list[Any], lengths: Any) -> tuple[Any, ...]:
        """All steps at once."""
        bias = self.recurrent_bias
        inner = zeros((self.units,), gates_x) if bias is None else bias
        return ops.gru(gates_x, self.recurrent_weight, inner, states[0], lengths)

    def _step(self, gates_x: Any, states: list[Any]) -> list[Any]:
        h = states[0]
        x_r, x_z, x_n = self._parts(gates_x)
        h_r, h_z, h_n = self._parts(ops.matmul(h, self.recurrent_weight))
        if self.recurrent_bias is not None:
            h_n = h_n + self.recurrent_bias
        z = ops.sigmoid(x_z + h_z)
        n = ops.tanh(x_n + ops.sigmoid(x_r + h_r) * h_n)
        return [(1 - z) * n + z * h]


class _UnitForgetBias(Settings):
    """An initializer, but for the second quarter, which is 1.

    Source: R. Jozefowicz et al., An empirical exploration of recurrent network architectures (2015).
    """

    def __init__(self, initializer: Initializer) -> None:
        self.initializer = initializer

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        found: Array = np.array(self.initializer(shape, seed, stream))
        found[shape[0] // 4 : shape[0] // 2] = 1
        return found
