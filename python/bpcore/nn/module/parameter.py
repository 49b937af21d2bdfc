"""Parameters and states: a model's named arrays, which exist once their sizes are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bpcore.basics.settings import flag
from bpcore.basics.turns import Turns
from bpcore.nn.init import resolve
from bpcore.nn.penalties import Constraint, is_regularizer
from bpcore.symbolic import operators, tracing
from bpcore.symbolic.tensor import Operand, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore._core import Store
    from bpcore.basics.arrays import Array
    from bpcore.nn.penalties import Regularizer

__all__ = ["Parameter", "State", "Storage", "Variable"]

Shape: TypeAlias = "int | Sequence[int | None] | None"


@dataclass(eq=False)
class Storage:
    """The flat buffers of one model, and the names of what lies in them, slot by slot."""

    store: Store
    parameters: tuple[str, ...]
    states: tuple[str, ...]
    moved: bool = False  # true once a larger model has taken some of it over
    busy: Lock = field(default_factory=Lock)  # held while a trainer writes to it
    writing: Turns = field(default_factory=Turns)  # within that, held while values belong to no step

    @property
    def dtype(self) -> str:
        """The float dtype of everything in it."""
        return self.store.dtype


class Variable(Operand):
    """What parameters and states share: sizes (None for those not known yet), an initial value, a place.

    Outside of tracing, arithmetic on a variable is arithmetic on its array; while tracing, it is symbolic.
    """

    is_state = False

    def __init__(self, shape: Shape, init: Any) -> None:
        sizes = (shape,) if shape is None or isinstance(shape, (int, np.integer)) else tuple(shape)
        self.sizes: tuple[int | None, ...] = tuple(
            None if size is None else _check_size(size) for size in sizes
        )
        self.init = resolve(init)
        self.name = ""
        self.stamp = object()  # its own; a copy has another
        self.storage: Storage | None = None
        self.slot = -1
        self.given: Array | None = None  # values to start with, in place of the initializer's

    @property
    def known(self) -> bool:
        """Whether all sizes are known."""
        return None not in self.sizes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; RuntimeError while a size isn't known."""
        sizes = tuple(size for size in self.sizes if size is not None)
        if len(sizes) < len(self.sizes):
            raise RuntimeError(f"{self!r}: its size is not known yet; see Module.build")
        return sizes

    @property
    def dtype(self) -> str:
        """The float dtype: the model's, or the one it is being built in."""
        if self.storage is not None:
            return self.storage.dtype
        if self.given is not None:
            return str(self.given.dtype)
        trace = tracing.current()
        return (trace.dtype if trace is not None else None) or "float32"

    @property
    def value(self) -> Array:
        """The array itself, writable and without a copy; RuntimeError before the parameters exist."""
        if self.storage is None:
            raise RuntimeError(
                f"{self!r} does not exist yet: give every layer its in_features, call "
                "model.build(input_shape), or use the model once"
            )
        store = self.storage.store
        return store.state(self.slot) if self.is_state else store.parameter(self.slot)

    def infer(self, shape: Sequence[int]) -> None:
        """Fills in sizes that are None, for use in `__call__`; ValueError if a known one differs."""
        fits = len(shape) == len(self.sizes) and all(
            known in (None, size) for known, size in zip(self.sizes, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"{self!r} can't have shape {tuple(shape)}")
        if 0 in shape:
            raise ValueError(f"{self!r} can't have shape {tuple(shape)}: every size must be at least 1")
        if not self.known:
            self.sizes = tuple(_check_size(size) for size in shape)

    def __repr__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.sizes)
        comma = "," if len(self.sizes) == 1 else ""
        name = f" {self.name!r}" if self.name else ""
        return f"{type(self).__name__}{name} of shape ({sizes}{comma})"

    def __setitem__(self, key: Any, value: Any) -> None:
        if tracing.current() is not None:
            raise TypeError(f"{self!r} is symbolic while a function is traced, and can't be written to")
        raise TypeError(f"{self!r}: write to its array instead, as .value[...] = values")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if tracing.current() is not None:
            raise TypeError(
                f"{self!r} is symbolic while a function is traced; use bpcore.ops on it, not NumPy"
            )
        array = np.asarray(self.value, dtype=dtype)
        return array.copy() if copy else array

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __getstate__(self) -> dict[str, Any]:
        # Copies start with the values and stand on their own.
        state = self.__dict__.copy()
        state["given"] = self.given if self.storage is None else self.value
        state["storage"], state["slot"], state["stamp"] = None, -1, object()
        return state


class Parameter(Variable):
    """An array that training changes.

    Args:
        shape: its sizes; None for those that `infer` fills in when the model is first traced.
        init: initial values: a name ("glorot_uniform", "he_normal", "zeros", ...), a number, an object of
            `nn.init`, or a function of (shape, seed, stream), or of the shape alone, that returns an array.
        trainable: False keeps it as it is, in the same flat buffer; no gradient is computed for it.
        regularizer: a term of the loss, `nn.L1`, `nn.L2` or a function of the tensor that returns a scalar.
        constraint: what holds after each update, `nn.MaxNorm` or `nn.NonNegative`.
    """

    def __init__(
        self,
        shape: Shape,
        init: Any = "glorot_uniform",
        trainable: bool = True,
        *,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        super().__init__(shape, init)
        if not is_regularizer(regularizer):
            raise TypeError(f"a regularizer is nn.L1(...), nn.L2(...) or a function, got {regularizer!r}")
        if constraint is not None and not isinstance(constraint, Constraint):
            raise TypeError(f"a constraint is nn.MaxNorm(...) or nn.NonNegative(), got {constraint!r}")
        self.trainable = flag("Parameter", "trainable", trainable)
        self.regularizer = regularizer
        self.constraint = constraint


class State(Variable):
    """An array that training steps write but no gradient moves, as running statistics are.

    Args:
        shape: its sizes, as for `Parameter`.
        init: initial values, as for `Parameter`.
    """

    is_state = True

    def __init__(self, shape: Shape, init: Any = "zeros") -> None:
        super().__init__(shape, init)

    def update(self, value: Any) -> None:
        """Each training step writes `value` once all reads are done; in inference mode, nothing happens."""
        trace = tracing.current()
        if trace is None:
            raise RuntimeError(
                "State.update: only inside of a traced function; write to state.value[...] elsewhere"
            )
        if not trace.training:
            return
        new = operators.unify("State.update", self, value)[1]
        node = new.node if isinstance(new, Tensor) else trace.graph.constant(new)
        trace.assign(self, node)


def _check_size(size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise TypeError(f"a size must be an integer or None, got {size!r}")
    if size < 1:
        raise ValueError(f"a size must be at least 1, got {size}")
    return int(size)
