"""Schedules that go one way: constant, in steps, linear, exponential, polynomial, by the inverse root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bpcore.basics import settings
from bpcore.schedules.base import Formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array

__all__ = [
    "Constant",
    "Exponential",
    "InverseSqrt",
    "Linear",
    "MultiStep",
    "Piecewise",
    "Polynomial",
    "Step",
]


@dataclass(frozen=True)
class Constant(Formula):
    """`lr` at every step."""

    name: ClassVar[str] = "constant"
    lr: float

    def __post_init__(self) -> None:
        self._number("lr", least=0)

    def _rates(self, steps: Array) -> Array:
        return np.full(steps.shape, self.lr)


@dataclass(frozen=True)
class Step(Formula):
    """lr · gamma^⌊step / step_size⌋, as PyTorch's StepLR.

    Args:
        lr: first rate, ≥ 0.
        step_size: updates until the next factor, ≥ 1.
        gamma: the factor, > 0.
    """

    name: ClassVar[str] = "step"
    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("step_size")
        self._number("gamma", above=0)

    def _rates(self, steps: Array) -> Array:
        return self.lr * self.gamma ** (steps // self.step_size)


@dataclass(frozen=True)
class MultiStep(Formula):
    """lr · gamma^(number of milestones ≤ step), as PyTorch's MultiStepLR.

    Args:
        lr: first rate, ≥ 0.
        milestones: steps from which on there is one factor more; increasing, the first ≥ 1.
        gamma: the factor, > 0.
    """

    name: ClassVar[str] = "multi_step"
    lr: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._steps("milestones")
        self._number("gamma", above=0)

    def _rates(self, steps: Array) -> Array:
        passed = np.searchsorted(np.array(self.milestones, np.float64), steps, side="right")
        return self.lr * self.gamma ** passed.astype(np.float64)


@dataclass(frozen=True)
class Piecewise(Formula):
    """Constant between `boundaries`: rates[i], with i the number of boundaries ≤ step.

    With boundaries (n,) and rates (factor · lr, lr), it is PyTorch's ConstantLR.

    Args:
        boundaries: steps from which on the next rate holds; increasing, the first ≥ 1.
        rates: ≥ 0, one more than boundaries.
    """

    name: ClassVar[str] = "piecewise"
    boundaries: Sequence[int]
    rates: Sequence[float]

    def __post_init__(self) -> None:
        self._steps("boundaries")
        if not isinstance(self.rates, (tuple, list, np.ndarray)):
            raise TypeError(f"Piecewise: rates must be a list of numbers, got {self.rates!r}")
        if len(self.rates) != len(self.boundaries) + 1:
            raise ValueError(
                f"Piecewise: expected one rate more than boundaries, got {len(self.rates)} for "
                f"{len(self.boundaries)}"
            )
        found = (
            settings.number("Piecewise", f"rates[{i}]", each, least=0) for i, each in enumerate(self.rates)
        )
        self._put("rates", tuple(found))

    def _rates(self, steps: Array) -> Array:
        piece = np.searchsorted(np.array(self.boundaries, np.float64), steps, side="right")
        return np.array(self.rates)[piece]


@dataclass(frozen=True)
class Exponential(Formula):
    """lr · gamma^step, as PyTorch's ExponentialLR.

    Args:
        lr: first rate, ≥ 0.
        gamma: > 0. Above 1 the rate grows, as one wants to find the largest that still works; the optimizer
            raises ValueError once it is infinite.
    """

    name: ClassVar[str] = "exponential"
    lr: float
    gamma: float

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._number("gamma", above=0)

    def _rates(self, steps: Array) -> Array:
        return self.lr * self.gamma**steps


@dataclass(frozen=True)
class Linear(Formula):
    """From start_factor · lr to end_factor · lr in a straight line, as PyTorch's LinearLR.

    lr · (start_factor + (end_factor - start_factor) · t / steps) with t = min(step, steps).

    Args:
        lr: what the factors are parts of, ≥ 0.
        steps: updates until the line's end (`total_iters`), ≥ 1; the rate stays there.
        start_factor: in [0, 1].
        end_factor: in [0, 1].
    """

    name: ClassVar[str] = "linear"
    lr: float
    steps: int
    start_factor: float = 1 / 3
    end_factor: float = 1.0

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("steps")
        self._number("start_factor", least=0, most=1)
        self._number("end_factor", least=0, most=1)

    def _rates(self, steps: Array) -> Array:
        part = np.minimum(steps, self.steps) / self.steps
        return self.lr * (self.start_factor + (self.end_factor - self.start_factor) * part)


@dataclass(frozen=True)
class Polynomial(Formula):
    """lr · (1 - t / steps)^power with t = min(step, steps), as PyTorch's PolynomialLR.

    Args:
        lr: first rate, ≥ 0.
        steps: updates until 0 is reached (`total_iters`), ≥ 1; the rate stays 0.
        power: > 0; 1 is a straight line.
    """

    name: ClassVar[str] = "polynomial"
    lr: float
    steps: int
    power: float = 1.0

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("steps")
        self._number("power", above=0)

    def _rates(self, steps: Array) -> Array:
        return self.lr * (1 - np.minimum(steps, self.steps) / self.steps) ** self.power


@dataclass(frozen=True)
class InverseSqrt(Formula):
    """A straight line up to `lr`, then lr · sqrt(warmup_steps / step).

    A. Vaswani et al., Attention is all you need (2017), where lr = 1 / sqrt(width · warmup_steps) and the
    first update is step 1. Here step 0 comes before that, with a rate of start_factor · lr.

    Args:
        lr: the rate at the peak, which is update number `warmup_steps`; ≥ 0.
        warmup_steps: ≥ 1.
        start_factor: the rate of update 0 is start_factor · lr; in [0, 1].
    """

    name: ClassVar[str] = "inverse_sqrt"
    lr: float
    warmup_steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("warmup_steps")
        self._number("start_factor", least=0, most=1)

    def _rates(self, steps: Array) -> Array:
        line = self.start_factor + (1 - self.start_factor) * (steps / self.warmup_steps)
        decay = np.sqrt(self.warmup_steps / np.maximum(steps, self.warmup_steps))
        return self.lr * np.where(steps < self.warmup_steps, line, decay)
