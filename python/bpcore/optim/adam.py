"""Adam and its relatives: running means of the gradient and of its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics.settings import flag
from bpcore.optim.base import LearningRate, Optimizer, check_number, check_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.optim.groups import Group

__all__ = ["LAMB", "Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


class _Moments(Optimizer):
    """The arguments of the whole family, checked."""

    def __init__(
        self,
        lr: LearningRate,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        groups: Sequence[Group],
        **rest: Any,
    ) -> None:
        super().__init__(
            lr,
            groups,
            betas=check_pair(self, "betas", betas, below=1.0),
            eps=check_number(self, "eps", eps, positive=True),
            weight_decay=check_number(self, "weight_decay", weight_decay),
            **rest,
        )


class Adam(_Moments):
    """Adam: D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015).

    With gradient g (plus weight_decay · w) at step t = 1, 2, ...: m = β₁m + (1-β₁)g, v = β₂v + (1-β₂)g²,
    w -= lr · (m / (1-β₁ᵗ)) / (sqrt(v / (1-β₂ᵗ)) + eps). With amsgrad (S. J. Reddi et al., 2018), the largest
    v so far takes the place of v.

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        betas: (β₁, β₂), each in [0, 1).
        eps: > 0.
        weight_decay: L2 penalty, ≥ 0.
        amsgrad: the same for all groups.
        lazy: for weights of embeddings and of layers with sparse input, take this step only in the rows that
            the batch touches, with the t of all steps: the m and v of the others don't decay, as in PyTorch's
            SparseAdam. It is for weights that nothing else reads; of others, all elements take every step.
        groups: parameters with settings of their own, see `Group`.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "adam"
    shared = ("amsgrad",)

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        lazy: bool = False,
        groups: Sequence[Group] = (),
    ) -> None:
        who = type(self).__name__
        flags = {"amsgrad": flag(who, "amsgrad", amsgrad), "lazy": flag(who, "lazy", lazy)}
        super().__init__(lr, betas, eps, weight_decay, groups, **flags)

    def fixed(self) -> dict[str, float | bool]:
        """What the core wants besides the settings."""
        return {"decoupled": False}


class AdamW(Adam):
    """Adam with decoupled weight decay: I. Loshchilov and F. Hutter (2019).

    `Adam` without the decay in its gradient; instead, w -= lr · weight_decay · w before the step. Arguments
    as those of `Adam`; `weight_decay` is 0.01 unless given.
    """

    name = "adamw"

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        lazy: bool = False,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, lazy=lazy, groups=groups)

    def fixed(self) -> dict[str, float | bool]:
        """What the core wants besides the settings."""
        return {"decoupled": True}


class Adamax(_Moments):
    """Adamax: Adam with the infinity norm, from Adam's paper (2015).

    With gradient g (plus weight_decay · w) at step t = 1, 2, ...: m = β₁m + (1-β₁)g, u = max(β₂u, |g| + eps),
    w -= lr / (1-β₁ᵗ) · m / u. Arguments as those of `Adam`.
    """

    name = "adamax"

    def __init__(
        self,
        lr: LearningRate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, groups)

    def fixed(self) -> dict[str, float | bool]:
        """What the core wants besides the settings."""
        return {"decoupled": False}


class _Decouplable(_Moments):
    def __init__(self, *arguments: Any, decoupled_weight_decay: bool, **rest: Any) -> None:
        decoupled = flag(type(self).__name__, "decoupled_weight_decay", decoupled_weight_decay)
        super().__init__(*arguments, decoupled_weight_decay=decoupled, **rest)

    def hyper(self) -> dict[str, float | bool]:
        """The settings by the core's names."""
        hyper = super().hyper()
        hyper["decoupled"] = hyper.pop("decoupled_weight_decay")
        return hyper


class NAdam(_Decouplable):
    """NAdam: T. Dozat, Incorporating Nesterov momentum into Adam (2016), with its warm-up of the momentum.

    As `Adam`, but with μₜ = β₁·(1 - 0.96^(t·momentum_decay) / 2) and Πₜ = μ₁·…·μₜ, m / (1-β₁ᵗ) is replaced by
    (1-μₜ)·g / (1-Πₜ) + μₜ₊₁·m / (1-Πₜ₊₁).

    Args:
        lr, betas, eps, weight_decay, groups: as those of `Adam`.
        momentum_decay: ψ, ≥ 0.
        decoupled_weight_decay: shrink w by lr · weight_decay before the step, as `AdamW`.
    """

    name = "nadam"

    def __init__(
        self,
        lr: LearningRate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            lr,
            betas,
            eps,
            weight_decay,
            groups,
            momentum_decay=check_number(self, "momentum_decay", momentum_decay),
            decoupled_weight_decay=decoupled_weight_decay,
        )


class RAdam(_Decouplable):
    """RAdam: L. Liu et al., On the variance of the adaptive learning rate and beyond (2020).

    With ρ∞ = 2/(1-β₂) - 1 and ρₜ = ρ∞ - 2tβ₂ᵗ/(1-β₂ᵗ): while ρₜ ≤ 5, w -= lr · m / (1-β₁ᵗ); later Adam's step
    times sqrt((ρₜ-4)(ρₜ-2)ρ∞ / ((ρ∞-4)(ρ∞-2)ρₜ)), with eps added to sqrt(v).

    Args:
        lr, betas, eps, weight_decay, groups: as those of `Adam`.
        decoupled_weight_decay: shrink w by lr · weight_decay before the step, as `AdamW`.
    """

    name = "radam"

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, groups, decoupled_weight_decay=decoupled_weight_decay)


class LAMB(_Moments):
    """LAMB: Y. You et al., Large batch optimization for deep learning (2020).

    For each tensor, u = (m / (1-β₁ᵗ)) / (sqrt(v / (1-β₂ᵗ)) + eps) + weight_decay · w, and
    w -= lr · ‖w‖ / ‖u‖ · u; the ratio of norms is 1 where one of them is 0. Arguments as those of `Adam`.
    """

    name = "lamb"

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, groups)
