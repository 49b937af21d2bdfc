"""Steps by the gradient's sign: Lion and Rprop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore.optim.base import LearningRate, Optimizer, check_number, check_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.optim.groups import Group

__all__ = ["Lion", "Rprop"]


class Lion(Optimizer):
    """Lion: X. Chen et al., Symbolic discovery of optimization algorithms (2023).

    With gradient g: w -= lr · (sign(β₁m + (1-β₁)g) + weight_decay · w), then m = β₂m + (1-β₂)g.

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        betas: (β₁, β₂), each in [0, 1).
        weight_decay: decoupled, ≥ 0.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "lion"

    def __init__(
        self,
        lr: LearningRate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            lr,
            groups,
            betas=check_pair(self, "betas", betas, below=1.0),
            weight_decay=check_number(self, "weight_decay", weight_decay),
        )


class Rprop(Optimizer):
    """Rprop: M. Riedmiller and H. Braun, A direct adaptive method for faster backpropagation learning (1993).

    For full batches: each parameter has a step size of its own, which grows by η⁺ while its gradient keeps
    its sign. Where the sign has changed, it shrinks by η⁻, and the parameter stays.

    Args:
        lr: the first step size, a number ≥ 0, a schedule or a function of the step; its first value counts.
        etas: (η⁻, η⁺), with 0 < η⁻ < 1 < η⁺.
        step_sizes: the smallest and the largest step size, both above 0.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "rprop"

    def __init__(
        self,
        lr: LearningRate = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        shrink, grow = check_pair(self, "etas", etas)
        if not 0.0 < shrink < 1.0 < grow:
            raise ValueError(f"Rprop: etas must be (η⁻, η⁺) with 0 < η⁻ < 1 < η⁺, got {etas!r}")
        least, most = check_pair(self, "step_sizes", step_sizes)
        if not 0.0 < least <= most:
            raise ValueError(f"Rprop: step_sizes must be (least, most) with 0 < least, got {step_sizes!r}")
        super().__init__(lr, groups, etas=(shrink, grow), step_sizes=(least, most))
