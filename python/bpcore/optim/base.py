"""What optimizers share: learning rates, settings and groups. The updates themselves run natively."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from bpcore.names import lookup
from bpcore.optim.groups import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bpcore.arrays import Array

__all__ = ["LearningRate", "Optimizer", "check_number", "check_pair"]

LearningRate: TypeAlias = "float | Callable[[int], float]"

# Settings that the core takes apart.
_PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}
_FUNCTION = "a function"  # stands in a config for what a file can't hold


class Optimizer:
    """What all optimizers share: a name, a learning rate, settings, groups.

    `lr` may be set anew while training; the other settings stay as they are. Subclasses check their settings
    and hand them to `__init__`, which makes attributes of them.
    """

    name: ClassVar[str]
    shared: ClassVar[tuple[str, ...]] = ()  # settings that groups can't have of their own

    def __init__(self, lr: LearningRate, groups: Sequence[Group], **settings: Any) -> None:
        self.lr = lr
        self.settings = settings
        for key, value in settings.items():
            setattr(self, key, value)
        self.groups = tuple(groups)
        self._variants = tuple(self._variant(group) for group in self.groups)

    def _variant(self, group: Group) -> Optimizer:
        """This optimizer with the settings of a group, which are checked as its own were."""
        who = type(self).__name__
        if not isinstance(group, Group):
            raise TypeError(f"{who}: groups must be optim.Group objects, got {type(group).__name__}")
        for key in group.settings:
            if key in self.shared:
                raise ValueError(f"{who}: {key} is the same for all parameters, so {group} can't have it")
            lookup(f"setting of {who} in {group}", key, self.settings)
        lr = self.lr if group.lr is None else group.lr
        return type(self)(lr, **{**self.settings, **group.settings})

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name != "_lr":
            raise AttributeError(
                f"{type(self).__name__}: {name} can't be changed; make a new optimizer and a new Trainer"
            )
        super().__setattr__(name, value)

    @property
    def lr(self) -> LearningRate:
        """The learning rate, a number or a function of the step; groups may have others."""
        return self._lr

    @lr.setter
    def lr(self, lr: LearningRate) -> None:
        self._lr: LearningRate = lr if callable(lr) else check_number(self, "lr", lr)

    # What the core wants

    def hyper(self) -> dict[str, float | bool]:
        """The settings by the core's names."""
        flat: dict[str, float | bool] = {}
        for key, value in self.settings.items():
            flat.update(zip(_PAIRS[key], value, strict=True) if key in _PAIRS else [(key, value)])
        return {**self.fixed(), **flat}

    def fixed(self) -> dict[str, float | bool]:
        """What the core wants besides the settings."""
        return {}

    def group_settings(self) -> list[dict[str, float | bool]]:
        """`hyper` of the optimizer itself, then of each group."""
        return [self.hyper(), *(variant.hyper() for variant in self._variants)]

    def group_of(self, parameters: Mapping[str, int]) -> list[int]:
        """The number of each parameter's group (name -> axes), 0 for those in none.

        ValueError for a group that matches no parameter at all.
        """
        for group in self.groups:
            if not any(group.matches(name, ndim) for name, ndim in parameters.items()):
                raise ValueError(
                    f"{type(self).__name__}: {group} matches no parameter; they are {', '.join(parameters)}"
                )
        return [
            next((i for i, group in enumerate(self.groups, 1) if group.matches(name, ndim)), 0)
            for name, ndim in parameters.items()
        ]

    def rates(self, step: int, count: int) -> Array:
        """The rates of `count` steps from `step` on, float64 (count, 1 + groups), a column for each group.

        If a function gives them: TypeError for what is no number, ValueError if negative or not finite.
        """
        own = _tabulated(self.lr, step, count)
        columns = [own if group.lr is None else _tabulated(group.lr, step, count) for group in self.groups]
        return np.stack([own, *columns], axis=1)

    # Files

    def config(self) -> dict[str, Any]:
        """What makes the same optimizer again: its name and arguments, without functions."""
        groups = [
            {"match": group.match, "max_ndim": group.max_ndim, "lr": _saved(group.lr), **group.settings}
            for group in self.groups
        ]
        return {"name": self.name, "lr": _saved(self.lr), **self.settings, "groups": groups}

    @staticmethod
    def is_whole(config: Mapping[str, Any]) -> bool:
        """Whether a config holds all: no learning rate was a function."""
        return all(each["lr"] != _FUNCTION for each in (config, *config["groups"]))

    def __repr__(self) -> str:
        shown = {"lr": self.lr, **self.settings, **({"groups": list(self.groups)} if self.groups else {})}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def _saved(lr: LearningRate | None) -> Any:
    return _FUNCTION if callable(lr) else lr


def _tabulated(lr: LearningRate, step: int, count: int) -> Array:
    if not callable(lr):
        return np.full(count, lr)
    rates = np.array([_rate(lr, step + i) for i in range(count)])
    wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if wrong.size:
        at = int(wrong[0])
        raise ValueError(f"the learning rate's function gave {rates[at]} for step {step + at}")
    return rates


def _rate(function: Callable[[int], float], step: int) -> float:
    rate: Any = function(step)
    try:
        return float(rate)
    except (TypeError, ValueError):
        name = getattr(function, "__qualname__", type(function).__name__)
        raise TypeError(
            f"the learning rate's function {name} gave {rate!r} for step {step}, not a number"
        ) from None


def check_number(
    owner: Optimizer, name: str, value: Any, below: float = math.inf, positive: bool = False
) -> float:
    """`value` as a float that is at least 0, or above 0 if `positive`, finite and less than `below`."""
    who = type(owner).__name__
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}")
    number = float(value)
    if not 0.0 <= number < below or (positive and number == 0.0):  # also for NaN
        least = "above 0" if positive else "at least 0"
        limit = f"finite and {least}" if below == math.inf else f"in {'(' if positive else '['}0, {below:g})"
        raise ValueError(f"{who}: {name} must be {limit}, got {value}")
    return number


def check_pair(owner: Optimizer, name: str, value: Any, below: float = math.inf) -> tuple[float, float]:
    """`value` as two floats, each as `check_number` wants it."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{type(owner).__name__}: {name} must be a pair of numbers, got {value!r}")
    first, second = (check_number(owner, f"{name}[{i}]", each, below) for i, each in enumerate(value))
    return first, second
