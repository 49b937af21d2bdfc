"""Regularisation terms and constraints of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from bpcore import ops
from bpcore.basics.settings import number

__all__ = ["L1", "L1L2", "L2", "Constraint", "MaxNorm", "NonNegative", "Regularizer"]

Regularizer: TypeAlias = Callable[[Any], Any]


class L1L2:
    """l1 · Σ|w| + l2 · Σw², added to the loss whose gradient is taken, once a step.

    Values of ``loss`` in a history and from `Trainer.evaluate` are without it.

    Args:
        l1: ≥ 0.
        l2: ≥ 0. Its gradient is 2·l2·w: weight_decay / 2 does what ``weight_decay`` does in `optim.SGD`.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number(type(self).__name__, "l1", l1, least=0)
        self.l2 = number(type(self).__name__, "l2", l2, least=0)

    def __call__(self, weight: Any) -> Any:
        """A scalar, of a `weight` of any shape."""
        terms = []
        if self.l1:
            terms.append(self.l1 * ops.sum(ops.abs(weight)))
        if self.l2:
            terms.append(self.l2 * ops.sum(ops.square(weight)))
        if not terms:
            return 0.0 * ops.sum(weight)
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class L1(L1L2):
    """l1 · Σ|w|, see `L1L2`."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def __repr__(self) -> str:
        return f"L1({self.l1})"


class L2(L1L2):
    """l2 · Σw², see `L1L2`."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def __repr__(self) -> str:
        return f"L2({self.l2})"


class Constraint:
    """What a parameter must be like after each update: `MaxNorm` or `NonNegative`."""

    kind: str  # the core's name
    most = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MaxNorm(Constraint):
    """Columns of norm `most` at most: longer ones are scaled down after each update.

    A column is what one output unit gets: all axes but the last. N. Srivastava et al., Dropout: a simple way
    to prevent neural networks from overfitting (2014).
    """

    kind = "max_norm"

    def __init__(self, most: float = 2.0) -> None:
        self.most = number("MaxNorm", "most", most, above=0)

    def __repr__(self) -> str:
        return f"MaxNorm({self.most})"


class NonNegative(Constraint):
    """No element below 0: negative ones become 0 after each update."""

    kind = "non_negative"


def is_regularizer(value: Any) -> bool:
    """Whether `value` may be given as a regularizer: None, or a function (a class is one by mistake)."""
    return value is None or (callable(value) and not isinstance(value, type))


def config(regularizer: Regularizer | None) -> dict[str, float] | str | None:
    """What a file keeps of a regularizer: its numbers, or "a function" for what it can't hold."""
    if regularizer is None:
        return None
    if isinstance(regularizer, L1L2):
        return {"l1": regularizer.l1, "l2": regularizer.l2}
    return "a function"


def from_config(saved: dict[str, float] | None) -> Regularizer | None:
    """The regularizer that `config` describes."""
    if saved is None:
        return None
    if not saved["l2"]:
        return L1(saved["l1"])
    return L1L2(**saved) if saved["l1"] else L2(saved["l2"])
