"""What a schedule is, and what those that are a formula share."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bpcore.basics import settings, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array

__all__ = ["Described", "Formula", "Schedule", "span", "tabulate"]

_BLOCK = 64


class Schedule:
    """A learning rate for every step, to be given to an optimizer as its `lr`.

    Steps are updates, counted from 0 over the whole life of a trainer. For a schedule of one's own, override
    `values`; it is not saved with a trainer and has to be given to `Trainer.load` again.
    """

    def __call__(self, step: int) -> float:
        """The rate of update number `step`; the same bits as in any `values` that it is a part of."""
        return float(self.values(step, 1)[0])

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64.

        ValueError for negative numbers, TypeError for what is no integer.
        """
        raise NotImplementedError(f"{type(self).__name__} must define values")

    def config(self) -> dict[str, Any] | None:
        """What makes the same schedule again, in what JSON has; None if a function is a part of it."""
        return None

    def __repr__(self) -> str:
        return texts.call(self, texts.settings_of(self))


class Described(Schedule):
    """A schedule that is a frozen dataclass: its fields, checked and converted when made, describe it."""

    name: ClassVar[str]

    def config(self) -> dict[str, Any] | None:
        """Its name and fields; None if a part of it has no description."""
        found = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}  # type: ignore[arg-type]
        parts = [part for value in found.values() for part in (value if isinstance(value, list) else [value])]
        return None if None in parts else {"name": self.name, **found}

    # The checks, each of which puts the converted value in the place of what was given.

    def _number(self, name: str, **limits: float) -> None:
        self._put(name, settings.number(type(self).__name__, name, getattr(self, name), **limits))

    def _count(self, name: str, least: int = 1) -> None:
        self._put(name, settings.count(type(self).__name__, name, getattr(self, name), least))

    def _choice(self, name: str, *known: str) -> None:
        settings.choice(type(self).__name__, name, getattr(self, name), known)

    def _steps(self, name: str) -> None:
        """Step numbers that increase, the first at least 1."""
        who, given = type(self).__name__, getattr(self, name)
        if not isinstance(given, (tuple, list, np.ndarray)):
            raise TypeError(f"{who}: {name} must be a list of steps, got {given!r}")
        found = tuple(settings.count(who, f"{name}[{i}]", each, 1) for i, each in enumerate(given))
        if any(after <= before for before, after in pairwise(found)):
            raise ValueError(f"{who}: {name} must increase, got {list(found)}")
        self._put(name, found)

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else


class Formula(Described):
    """A schedule whose rate is a formula of the step."""

    def values(self, first: int, count: int) -> Array:
        """The rates of `count` updates from number `first` on, float64."""
        first, count = span(self, first, count)
        if count == 0:
            return np.empty(0)
        # NumPy does not promise that an element's bits are independent of its place. So each step always has
        # the same place: rates are computed in whole blocks, which begin at multiples of their size.
        start, stop = first - first % _BLOCK, first + count
        steps = np.arange(start, stop + -stop % _BLOCK, dtype=np.float64)
        with np.errstate(over="ignore"):  # the optimizer refuses an infinite rate
            return self._rates(steps)[first - start : stop - start]

    def _rates(self, steps: Array) -> Array:
        """The rates of these steps, which are whole numbers as floats."""
        raise NotImplementedError


def span(schedule: Schedule, first: int, count: int) -> tuple[int, int]:
    """The arguments of `values`, checked."""
    who = f"{type(schedule).__name__}.values"
    return settings.count(who, "first", first, 0), settings.count(who, "count", count, 0)


def tabulate(function: Callable[[int], float], first: int, count: int) -> Array:
    """What a function of the step gives for so many steps; TypeError for what is no number."""
    return np.array([_rate(function, step) for step in range(first, first + count)], np.float64)


def _rate(function: Callable[[int], float], step: int) -> float:
    rate: Any = function(step)
    try:
        return float(rate)
    except (TypeError, ValueError):
        name = getattr(function, "__qualname__", type(function).__name__)
        raise TypeError(
            f"the learning rate's function {name} gave {rate!r} for step {step}, not a number"
        ) from None


def _plain(value: Any) -> Any:
    """A field as JSON has it; None for a function."""
    if isinstance(value, Schedule):
        return value.config()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return None if callable(value) else value
