"""What optimizers share: learning rates, settings and groups. The updates themselves run natively."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from bpcore.basics import settings as checks
from bpcore.basics import texts
from bpcore.basics.names import lookup
from bpcore.optim.groups import Group
from bpcore.schedules.base import Schedule, tabulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bpcore.basics.arrays import Array

__all__ = ["LearningRate", "Optimizer", "check_number", "check_pair"]

LearningRate: TypeAlias = "float | Schedule | Callable[[int], float]"

# Settings that the core takes apart.
_PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}
_FUNCTION = "a function"  # stands in a config for what a file can't hold


class Optimizer:
    """What all optimizers share: a name, a learning rate, settings, groups.

    `lr` and `scale` may be set anew while training; the other settings stay as they are. Subclasses check
    their settings and hand them to `__init__`, which makes attributes of them.
    """

    name: ClassVar[str]
    shared: ClassVar[tuple[str, ...]] = ()  # settings that groups can't have of their own

    def __init__(self, lr: LearningRate, groups: Sequence[Group], **settings: Any) -> None:
        if isinstance(groups, Group) or not isinstance(groups, Iterable):
            raise TypeError(
                f"{type(self).__name__}: groups must be a list of optim.Group objects, got {groups!r}"
            )
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
        if name in self.__dict__ and name not in ("_lr", "_scale"):
            raise AttributeError(
                f"{type(self).__name__}: {name} can't be changed; make a new optimizer and a new Trainer"
            )
        made = "_variants" in self.__dict__  # the last that `__init__` sets
        if made and not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(
                f"{type(self).__name__}: there is no {name!r} to set; lr and scale can be set"
            )
        super().__setattr__(name, value)

    @property
    def lr(self) -> LearningRate:
        """The learning rate: a number, a schedule or a function of the step; groups may have others.

        Setting it sets `scale` to 1.
        """
        return self._lr

    @lr.setter
    def lr(self, lr: LearningRate) -> None:
        if isinstance(lr, type):
            raise TypeError(
                f"{type(self).__name__}: lr must be an object: {lr.__name__}(...), with arguments"
            )
        if isinstance(lr, Schedule) and type(lr).values is Schedule.values:
            raise TypeError(f"{type(self).__name__}: lr must be a schedule that defines values, got {lr!r}")
        self._lr: LearningRate = lr if callable(lr) else check_number(self, "lr", lr)
        self._scale = 1.0

    @property
    def scale(self) -> float:
        """What all learning rates are multiplied by, ≥ 0; 1 unless a callback as ReduceLROnPlateau set it."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._scale = check_number(self, "scale", scale)

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

    @property
    def is_lazy(self) -> bool:
        """Whether rows of a gradient that nothing has touched are to be left out, in one group at least."""
        return any(settings.get("lazy", False) for settings in self.group_settings())

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
        """The rates of `count` steps from `step` on, float64: those of `lr` times `scale`.

        If a function gives them: TypeError for what is no number, ValueError if negative or not finite.
        """
        return _rates(self.lr, self.scale, step, count)

    def group_rates(self, step: int, count: int) -> Array:
        """`rates`, then those of each group, as columns of an array of shape (count, 1 + groups)."""
        own = self.rates(step, count)
        others = [
            own if group.lr is None else _rates(group.lr, self.scale, step, count) for group in self.groups
        ]
        return np.stack([own, *others], axis=1) if others else own[:, None]

    # Files

    def config(self) -> dict[str, Any]:
        """What makes the same optimizer again: its name, arguments and scale, without functions."""
        groups = [
            {"match": group.match, "max_ndim": group.max_ndim, "lr": _saved(group.lr), **group.settings}
            for group in self.groups
        ]
        settings = {"lr": _saved(self.lr), **self.settings, "groups": groups}
        return {"name": self.name, **settings, "scale": self.scale}

    @staticmethod
    def is_whole(config: Mapping[str, Any]) -> bool:
        """Whether a config holds all: no learning rate was a function."""
        return all(each["lr"] != _FUNCTION for each in (config, *config["groups"]))

    def __repr__(self) -> str:
        changed = [text for text in texts.settings_of(self, True) if not text.startswith("lr=")]
        scale = [] if self.scale == 1 else [f"scale={self.scale:g}"]
        return texts.call(self, [f"lr={texts.short(self.lr)}", *changed, *scale])


def _saved(lr: LearningRate | None) -> Any:
    config = lr.config() if isinstance(lr, Schedule) else None if callable(lr) else lr
    return _FUNCTION if config is None and lr is not None else config


def _rates(lr: LearningRate, scale: float, step: int, count: int) -> Array:
    if not callable(lr):
        rate = lr * scale
        if rate == math.inf:
            raise ValueError(f"the learning rate {lr} times {scale} is infinite")
        return np.full(count, rate)
    rates = lr.values(step, count) if isinstance(lr, Schedule) else tabulate(lr, step, count)
    with np.errstate(over="ignore"):
        rates = scale * rates
    wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
    if wrong.size:
        at = int(wrong[0])
        source = lr if isinstance(lr, Schedule) else "the learning rate's function"
        raise ValueError(f"{source} gave {rates[at]} for step {step + at}")
    return rates


def check_number(
    owner: Optimizer, name: str, value: Any, *, below: float | None = None, positive: bool = False
) -> float:
    """`value` as a float that is at least 0, or above 0 if `positive`, finite and less than `below`."""
    limit = {"above": 0.0} if positive else {"least": 0.0}
    return checks.number(type(owner).__name__, name, value, below=below, **limit)


def check_pair(owner: Optimizer, name: str, value: Any, *, below: float | None = None) -> tuple[float, float]:
    """`value` as two floats, each as `check_number` wants it."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{type(owner).__name__}: {name} must be a pair of numbers, got {value!r}")
    first, second = (check_number(owner, f"{name}[{i}]", each, below=below) for i, each in enumerate(value))
    return first, second
