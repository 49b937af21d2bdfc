"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore.basics.settings import flag
from bpcore.optim.base import LearningRate, Optimizer, check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.optim.groups import Group

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    With gradient g (plus weight_decay · w): without momentum, w -= lr·g. With it, v = momentum·v + g (v = g
    at the first step) and w -= lr·v, or with Nesterov's form w -= lr·(g + momentum·v).

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        momentum: in [0, 1).
        nesterov: Nesterov's form, which needs a momentum.
        weight_decay: L2 penalty, ≥ 0.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "sgd"

    def __init__(
        self,
        lr: LearningRate,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        momentum = check_number(self, "momentum", momentum, below=1.0)
        if nesterov and momentum == 0.0:
            raise ValueError("SGD: nesterov=True needs a momentum above 0")
        super().__init__(
            lr,
            groups,
            momentum=momentum,
            nesterov=flag("SGD", "nesterov", nesterov),
            weight_decay=check_number(self, "weight_decay", weight_decay),
        )
