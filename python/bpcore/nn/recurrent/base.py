"""What recurrent layers share: how cells are stacked, and called on sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.arrays import kind_of
from bpcore.basics.settings import count, flag
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import State
from bpcore.nn.recurrent.scan import reverse
from bpcore.nn.recurrent.states import checked_states
from bpcore.symbolic import operators, randomness

if TYPE_CHECKING:
    from bpcore.nn.recurrent.cells import Cell

__all__ = ["Recurrent"]


class Recurrent(Module):
    """A layer of cells; a subclass has their class, and says what they are given beside what all are."""

    _set_once = ("units", "bidirectional", "stateful")
    _not_kept = (
        "layers", "use_bias", "in_features", "kernel_init", "recurrent_init", "bias_init", "activation",
        "unit_forget_bias",
    )  # fmt: skip

    cell: type[Cell]

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
        use_bias: bool = True,
        in_features: int | None = None,
        kernel_init: Any = "glorot_uniform",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
    ) -> None:
        who = type(self).__name__
        self.units = count(who, "units", units, 1)
        self.return_sequences = flag(who, "return_sequences", return_sequences)
        self.bidirectional = flag(who, "bidirectional", bidirectional)
        self.dropout = randomness.check_rate(who, dropout)
        self.return_state = flag(who, "return_state", return_state)
        self.stateful = flag(who, "stateful", stateful)
        layers = count(who, "layers", layers, 1)
        if in_features is not None:
            in_features = count(who, "in_features", in_features, 1)
        directions = 2 if self.bidirectional else 1
        if self.stateful and self.bidirectional:
            raise ValueError(f"{who}: stateful does not go with bidirectional: the end comes first there")

        def made() -> list[Cell]:
            sizes = [in_features, *[directions * self.units] * (layers - 1)]
            return [
                self.cell(
                    self.units,
                    in_features=size,
                    use_bias=use_bias,
                    kernel_init=kernel_init,
                    recurrent_init=recurrent_init,
                    bias_init=bias_init,
                    **self._of_cells(),
                )
                for size in sizes
            ]

        self.cells = made()
        self.backward_cells = made() if self.bidirectional else []
        shape = (None, self.units) if layers == 1 else (layers, None, self.units)
        self.carried = [State(shape, "zeros") for _ in range(self.cell.states)] if self.stateful else []

    def _of_cells(self) -> dict[str, Any]:
        """Further arguments of each cell."""
        return {}

    @property
    def in_features(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.cells[0].in_features

    def __call__(self, x: Any, initial_state: Any = None, lengths: Any = None, mask: Any = None) -> Any:
        """`x` (batch, steps, in_features); see the class."""
        x = self.cells[0].checked(self, x, "(batch, steps, features)", 3)
        if x.shape[1] == 0:
            raise ValueError(f"{self._title()}: expected at least one step, got input of shape {x.shape}")
        lengths = self._lengths(x, lengths, mask)
        runs = len(self.cells) + len(self.backward_cells)
        states = self._first_states(x, initial_state, runs)
        last: list[list[Any]] = []
        for depth, cell in enumerate(self.cells):
            if depth > 0:
                x = randomness.dropout(x, self.dropout, self._bpcore.path)
            output, *ends = cell.run(cell.gates_of(x), states[len(last)], lengths)
            last.append(ends)
            outputs, finals = [output], [ends[0]]
            if self.bidirectional:
                cell = self.backward_cells[depth]
                cell.checked(self, x, "(batch, steps, features)", 3)
                output, *ends = cell.run(cell.gates_of(reverse(x, lengths)), states[len(last)], lengths)
                last.append(ends)
                outputs.append(reverse(output, lengths))
                finals.append(ends[0])
            x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)
        if not self.return_sequences:
            x = finals[0] if len(finals) == 1 else ops.concatenate(finals, axis=-1)
        kinds = [[ends[kind] for ends in last] for kind in range(self.cell.states)]
        state = [kind[0] if runs == 1 else ops.stack(kind) for kind in kinds]
        self._carry(state)
        return (x, self.cells[0].joined(state)) if self.return_state else x

    def reset_state(self) -> None:
        """Begins anew with zeros; RuntimeError without ``stateful=True``."""
        if not self.stateful:
            raise RuntimeError(f"{self._title()}: there is no state to reset without stateful=True")
        for state in self.carried:
            if state.storage is not None:
                state.value[...] = 0

    def _first_states(self, x: Any, given: Any, runs: int) -> list[list[Any]]:
        """The states that each run begins with."""
        batch = x.shape[0]
        shape = (batch, self.units) if runs == 1 else (runs, batch, self.units)
        for state in self.carried:
            if state.known and state.shape != shape:
                raise ValueError(
                    f"{self._title()}: the carried state has {state.shape[-2]} rows, the batch {batch}; "
                    "with stateful=True every batch needs the same number, also the last of an epoch"
                )
            state.infer(shape)
        if self.stateful and given is None:
            given = self.carried[0] if self.cell.states == 1 else tuple(self.carried)
        values = checked_states(self._title(), given, self.cell.states, shape, x)
        if runs == 1:
            return [values]
        return [[value[run] for value in values] for run in range(runs)]

    def _carry(self, states: list[Any]) -> None:
        """The next training step begins with `states`."""
        if not self.stateful:
            return
        for kept, value in zip(self.carried, states, strict=True):
            kept.update(value)

    def _lengths(self, x: Any, lengths: Any, mask: Any) -> Any:
        """The lengths that either argument means, None for neither."""
        if mask is None:
            if lengths is None:
                return None
            found = operators.operand(lengths, self._title())
            if str(found.dtype) != "int64":
                raise TypeError(f"{self._title()}: lengths must be integers, not {kind_of(found.dtype)}")
            if found.shape != x.shape[:1]:
                raise ValueError(
                    f"{self._title()}: expected lengths of shape {x.shape[:1]}, got {found.shape}"
                )
            return found
        if lengths is not None:
            raise ValueError(f"{self._title()}: expected lengths or a mask, got both")
        found = operators.operand(mask, self._title())
        if str(found.dtype) != "bool":
            raise TypeError(f"{self._title()}: a mask must be bool, got {found.dtype}")
        if found.shape != x.shape[:2]:
            raise ValueError(f"{self._title()}: expected a mask of shape {x.shape[:2]}, got {found.shape}")
        if isinstance(found, np.ndarray):
            if (found[:, 1:] & ~found[:, :-1]).any() or not found[:, 0].all():
                raise ValueError(f"{self._title()}: a mask must be a prefix: True, then False, without gaps")
            return found.sum(axis=1)
        # What is known only when it runs: a length of 0, which the op refuses, stands for a gap.
        steps = ops.cast(found, "float64")
        gaps = ops.sum(ops.maximum(steps[:, 1:] - steps[:, :-1], 0.0), 1)
        return ops.cast(ops.where(gaps > 0, 0.0, ops.sum(steps, 1)), "int64")

    def __repr__(self) -> str:
        options = texts.changed(
            Recurrent,
            return_sequences=self.return_sequences,
            layers=len(self.cells),
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            return_state=self.return_state,
            stateful=self.stateful,
        )
        sizes = [str(self.units), f"in_features={self.in_features}"]
        return texts.call(self, [*sizes, *options, *self.cells[0].options()])
