"""Schedules made of others, and of functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from bpcore.basics import settings
from bpcore.schedules.base import Described, Schedule, span, tabulate
from bpcore.schedules.decay import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore.basics.arrays import Array

__all__ = ["Lambda", "Product", "Sequential", "Warmup"]

Part: TypeAlias = "Schedule | float | Callable[[int], float]"


@dataclass(frozen=True, repr=False)  # the base's says the function's name
class Lambda(Described):
    """lr · lr_lambda(step), as PyTorch's LambdaLR.

    A function alone is a learning rate, too, and can be a part of other schedules. Functions are not saved.

    Args:
        lr: ≥ 0.
        lr_lambda: a function of the step (an int) that returns a number.
    """

    name: ClassVar[str] = "lambda"
    lr: float
    lr_lambda: Callable[[int], float]

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        if not callable(self.lr_lambda) or isinstance(self.lr_lambda, type):
            raise TypeError(f"Lambda: lr_lambda must be a function, got {self.lr_lambda!r}")

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64; TypeError for what is no number."""
        return self.lr * tabulate(self.lr_lambda, *span(self, first, count))


@dataclass(frozen=True)
class Warmup(Described):
    """A straight line up to the first rate of `schedule`, which then begins.

    For step < steps: schedule(0) · (start_factor + (1 - start_factor) · step / steps), then
    schedule(step - steps). P. Goyal et al., Accurate, large minibatch SGD (2017).

    Args:
        schedule: what comes afterwards: a schedule, a number or a function of the step.
        steps: updates of the warm-up, ≥ 1.
        start_factor: the rate of update 0 is start_factor · schedule(0), so that update does nothing if it is
            0; in [0, 1].
    """

    name: ClassVar[str] = "warmup"
    schedule: Part
    steps: int
    start_factor: float = 0.0

    def __post_init__(self) -> None:
        self._put("schedule", part("Warmup", "schedule", self.schedule))
        self._count("steps")
        self._number("start_factor", least=0, most=1)

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64."""
        first, count = span(self, first, count)
        assert isinstance(self.schedule, Schedule)
        stop = first + count
        rising = np.arange(first, max(first, min(stop, self.steps)), dtype=np.float64)
        line = self.start_factor + (1 - self.start_factor) * (rising / self.steps)
        rest = self.schedule.values(max(first - self.steps, 0), count - rising.size)
        return np.concatenate([self.schedule(0) * line if rising.size else line, rest])


@dataclass(frozen=True)
class Sequential(Described):
    """Schedules one after another, as PyTorch's SequentialLR; each counts its own steps from 0.

    schedules[i](step - milestones[i - 1]), with i the number of milestones ≤ step.

    Args:
        schedules: schedules, numbers or functions of the step; at least one.
        milestones: the steps at which the second, third, ... begins; increasing, the first ≥ 1.
    """

    name: ClassVar[str] = "sequential"
    schedules: Sequence[Part]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        self._put("schedules", parts("Sequential", self.schedules))
        self._steps("milestones")
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"Sequential: expected one milestone less than schedules, got {len(self.milestones)} for "
                f"{len(self.schedules)}"
            )

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64."""
        first, count = span(self, first, count)
        stop, found = first + count, [np.empty(0)]
        ends = [*self.milestones, stop]
        for schedule, start, end in zip(self.schedules, (0, *self.milestones), ends, strict=True):
            low, high = max(first, start), min(stop, end)
            if low < high:
                assert isinstance(schedule, Schedule)
                found.append(schedule.values(low - start, high - low))
        return np.concatenate(found)


@dataclass(frozen=True)
class Product(Described):
    """The product of schedules at each step, as PyTorch's ChainedScheduler multiplies their factors.

    Give one of them the rate, and the others an lr of 1: Product([Exponential(0.1, 0.99), Linear(1, 100)]).

    Args:
        schedules: schedules, numbers or functions of the step; at least one.
    """

    name: ClassVar[str] = "product"
    schedules: Sequence[Part]

    def __post_init__(self) -> None:
        self._put("schedules", parts("Product", self.schedules))

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64."""
        first, count = span(self, first, count)
        found = np.ones(count)
        for schedule in self.schedules:
            assert isinstance(schedule, Schedule)
            found = found * schedule.values(first, count)
        return found


def part(who: str, name: str, given: Any) -> Schedule:
    """A schedule from itself, a number (≥ 0) or a function of the step."""
    if isinstance(given, Schedule):
        return given
    if callable(given) and not isinstance(given, type):
        return Lambda(1.0, given)
    if isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool):
        return Constant(settings.number(who, name, given, least=0))
    raise TypeError(f"{who}: {name} must be a schedule, a number or a function, got {given!r}")


def parts(who: str, given: Any) -> tuple[Schedule, ...]:
    """At least one schedule, as a tuple."""
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{who}: schedules must be a list, got {given!r}")
    if not given:
        raise ValueError(f"{who}: expected at least one schedule")
    return tuple(part(who, f"schedules[{i}]", each) for i, each in enumerate(given))
