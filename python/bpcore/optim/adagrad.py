"""Steps divided by the size of past gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore.basics.settings import flag
from bpcore.optim.base import LearningRate, Optimizer, check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.optim.groups import Group

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """Adagrad: J. Duchi, E. Hazan and Y. Singer, Adaptive subgradient methods (2011).

    With gradient g (plus weight_decay · w) at step t = 1, 2, ...: s += g²,
    w -= lr / (1 + (t-1)·lr_decay) · g / (sqrt(s) + eps).

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        lr_decay: ≥ 0.
        weight_decay: L2 penalty, ≥ 0.
        initial_accumulator_value: what s begins with, ≥ 0.
        eps: > 0.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "adagrad"

    def __init__(
        self,
        lr: LearningRate = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            lr,
            groups,
            lr_decay=check_number(self, "lr_decay", lr_decay),
            weight_decay=check_number(self, "weight_decay", weight_decay),
            initial_accumulator_value=check_number(
                self, "initial_accumulator_value", initial_accumulator_value
            ),
            eps=check_number(self, "eps", eps, positive=True),
        )


class Adadelta(Optimizer):
    """Adadelta: M. D. Zeiler, ADADELTA: an adaptive learning rate method (2012).

    With gradient g (plus weight_decay · w): s = rho·s + (1-rho)·g²; d = sqrt(a + eps) / sqrt(s + eps) · g;
    a = rho·a + (1-rho)·d²; w -= lr·d.

    Args:
        lr: a factor ≥ 0 on the steps, a number or a function of the step.
        rho: in [0, 1).
        eps: > 0.
        weight_decay: L2 penalty, ≥ 0.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "adadelta"

    def __init__(
        self,
        lr: LearningRate = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            lr,
            groups,
            rho=check_number(self, "rho", rho, below=1.0),
            eps=check_number(self, "eps", eps, positive=True),
            weight_decay=check_number(self, "weight_decay", weight_decay),
        )


class RMSprop(Optimizer):
    """RMSprop: T. Tieleman and G. Hinton, Lecture 6.5 (2012); centered: A. Graves (2013).

    With gradient g (plus weight_decay · w): s = alpha·s + (1-alpha)·g², v = s, or if centered v = s - m² with
    m = alpha·m + (1-alpha)·g; d = g / (sqrt(v) + eps), and w -= lr·d. With momentum, b = momentum·b + d and
    w -= lr·b.

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        alpha: in [0, 1).
        eps: > 0.
        weight_decay: L2 penalty, ≥ 0.
        momentum: in [0, 1).
        centered: divide by an estimate of the deviation; the same for all groups.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "rmsprop"
    shared = ("centered",)

    def __init__(
        self,
        lr: LearningRate = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            lr,
            groups,
            alpha=check_number(self, "alpha", alpha, below=1.0),
            eps=check_number(self, "eps", eps, positive=True),
            weight_decay=check_number(self, "weight_decay", weight_decay),
            momentum=check_number(self, "momentum", momentum, below=1.0),
            centered=flag("RMSprop", "centered", centered),
        )
