"""Recurrent layers: all steps of a sequence in one op."""

from __future__ import annotations

from typing import Any

from bpcore.basics.settings import choice
from bpcore.basics.signatures import own_init
from bpcore.nn.recurrent.base import Recurrent
from bpcore.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell

__all__ = ["GRU", "LSTM", "RNN"]


class LSTM(Recurrent):
    """Long short-term memory; the output is h'.

    ``i, f, g, o = x @ weight + h @ recurrent_weight + bias``, cut in four, one after the other;
    ``c' = sigmoid(f) · c + sigmoid(i) · tanh(g)``, ``h' = sigmoid(o) · tanh(c')``.

    A call ``layer(x, initial_state=None, lengths=None, mask=None)`` takes `x` (batch, steps, in_features).
    The state is a tuple (h, c), each (batch, units), or (layers · directions, batch, units) if there is more
    than one, both directions of a layer beside each other. `lengths` (batch,), integers from 1 to steps, says
    where sequences end: beyond that, outputs are 0 and the state stays. `mask` (batch, steps) says the same,
    True where there is a step: only as a prefix, that is without gaps.

    Source: S. Hochreiter and J. Schmidhuber, Long short-term memory (1997), with the forget gate of F. Gers
    et al. (2000).

    Parameters, of each cell (``cells.0.weight``, ..., ``backward_cells.0.weight``, ...): `weight`
        (in_features, 4 · units), `recurrent_weight` (units, 4 · units), `bias` (4 · units,): one bias a gate,
        where PyTorch has two, which are added. States, with ``stateful=True``: `carried`, h and c.

    Args:
        units: size of the state, and of the output's last axis (twice that if bidirectional).
        return_sequences: True for the outputs of all steps, (batch, steps, units); False for (batch, units),
            that of each sequence's own last step; if bidirectional, of the last step that each direction
            takes.
        layers: so many are stacked: each is called on the outputs of all steps of the one before.
        bidirectional: True runs a second recurrence, with weights of its own, from the end to the beginning
            (of each sequence's own length), and puts its outputs behind the first one's.
        dropout: rate of it on the outputs between stacked layers, in training; in [0, 1].
        return_state: True returns (output, state).
        stateful: True begins with the state in which the training step before has ended, row by row, for
            truncated backpropagation through time: no gradient flows back through it. Batches must all have
            the same number of rows and follow each other in time (``fit(..., shuffle=False)``); the
            first call says how many, and with another order `fit` raises ValueError. Inference begins there
            too, but leaves it as it is. Epochs follow each other as batches do, and files keep the state,
            unless `reset_state` begins anew.
        unit_forget_bias: True begins with a bias of 1 for the forget gate.
        use_bias: False leaves biases out.
        in_features: size of the input's last axis; taken from the first input if None.
        kernel_init, recurrent_init, bias_init: initial values (see `nn.Parameter`): Glorot uniform,
            orthogonal and zeros unless given.

    Raises ValueError for sizes that don't fit, lengths out of range and a mask with gaps, TypeError for
    values of another kind; with ``stateful=True``, a second call in a training step is a ValueError.
    """

    cell = LSTMCell

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        return_state: bool = False,
        stateful: bool = False,
        unit_forget_bias: bool = False,
        use_bias: bool = True,
        in_features: int | None = None,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        self._unit_forget_bias = unit_forget_bias
        super().__init__(
            units,
            return_sequences,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            return_state=return_state,
            stateful=stateful,
            use_bias=use_bias,
            in_features=in_features,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
        )

    def _of_cells(self) -> dict[str, Any]:
        return {"unit_forget_bias": self._unit_forget_bias}


@own_init
class GRU(Recurrent):
    """Gated recurrent units, with the reset gate after the recurrent product; the output is h'.

    With ``x_r, x_z, x_n = x @ weight + bias`` and ``h_r, h_z, h_n = h @ recurrent_weight``, each in three:
    ``z = sigmoid(x_z + h_z)``, ``n = tanh(x_n + sigmoid(x_r + h_r) · (h_n + recurrent_bias))``,
    ``h' = (1 - z) · n + z · h``.

    Arguments, calls and errors are those of `nn.LSTM`, but for unit_forget_bias; the state is h.

    Source: K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
    translation (2014), in the form of cuDNN and PyTorch.

    Parameters, of each cell (``cells.0.weight``, ..., ``backward_cells.0.weight``, ...): `weight`
        (in_features, 3 · units), `recurrent_weight` (units, 3 · units), `bias` (3 · units,), `recurrent_bias`
        (units,). States, with ``stateful=True``: `carried`.
    """

    cell = GRUCell


class RNN(Recurrent):
    """h' = activation(x @ weight + h @ recurrent_weight + bias), step by step; the output is h'.

    Arguments, calls and errors are those of `nn.LSTM`, but for unit_forget_bias; `activation` is "tanh" or
    "relu". The state is h.

    Source: J. Elman, Finding structure in time (1990).

    Parameters, of each cell (``cells.0.weight``, ..., ``backward_cells.0.weight``, ...): `weight`
        (in_features, units), `recurrent_weight` (units, units), `bias` (units,). States, with
        ``stateful=True``: `carried`.
    """

    cell = RNNCell

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        return_state: bool = False,
        stateful: bool = False,
        activation: str = "tanh",
        use_bias: bool = True,
        in_features: int | None = None,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        self._activation = choice("RNN", "activation", activation, ("tanh", "relu"))
        super().__init__(
            units,
            return_sequences,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            return_state=return_state,
            stateful=stateful,
            use_bias=use_bias,
            in_features=in_features,
            kernel_init=kernel_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
        )

    def _of_cells(self) -> dict[str, Any]:
        return {"activation": self._activation}
