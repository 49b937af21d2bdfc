"""Optimizers: their settings. The updates themselves run natively, over all parameters at once.

Formulas and names are PyTorch's. `lr` is a number, a schedule (see `bpcore.schedules`), or a function of the
step (updates done so far, from 0).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from bpcore import schedules, settings
from bpcore.names import lookup
from bpcore.schedules.base import Schedule, tabulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.arrays import Array

__all__ = ["SGD", "Adam", "Optimizer", "resolve"]

LearningRate: TypeAlias = "float | Schedule | Callable[[int], float]"


class Optimizer:
    """What all optimizers share: a name, a learning rate, and the settings that the core wants.

    `lr` and `scale` may be set anew while training; the other settings stay as they are.
    """

    name: ClassVar[str]

    def __init__(self, lr: LearningRate) -> None:
        self.lr = lr

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name not in ("_lr", "_scale"):
            raise AttributeError(
                f"{type(self).__name__}: {name} can't be changed; make a new optimizer and a new Trainer"
            )
        super().__setattr__(name, value)

    @property
    def lr(self) -> LearningRate:
        """The learning rate, a number, a schedule or a function of the step. Setting it sets `scale` to 1."""
        return self._lr

    @lr.setter
    def lr(self, lr: LearningRate) -> None:
        if isinstance(lr, type):
            raise TypeError(
                f"{type(self).__name__}: lr must be an object: {lr.__name__}(...), with arguments"
            )
        self._lr: LearningRate = lr if callable(lr) else _number(self, "lr", lr)
        self._scale = 1.0

    @property
    def scale(self) -> float:
        """What `lr` is multiplied by, a number ≥ 0; 1 unless a callback such as ReduceLROnPlateau set it."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._scale = _number(self, "scale", scale)

    def hyper(self) -> dict[str, float | bool]:
        """The settings besides `lr`, by the core's names."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """The settings besides `lr`, by the names they are given by."""
        return self.hyper()

    def config(self) -> dict[str, Any]:
        """What makes the same optimizer again: name, arguments, scale; `lr` is None if it has a function."""
        lr = self.lr.config() if isinstance(self.lr, Schedule) else None if callable(self.lr) else self.lr
        return {"name": self.name, "lr": lr, **self.arguments(), "scale": self.scale}

    def rates(self, step: int, count: int) -> Array:
        """The rates of `count` steps from `step` on, float64: those of `lr` times `scale`.

        If a function gives them: TypeError for what is no number, ValueError if negative or not finite.
        """
        if not callable(self.lr):
            rate = self.lr * self.scale
            if rate == math.inf:
                raise ValueError(f"the learning rate {self.lr} times {self.scale} is infinite")
            return np.full(count, rate)
        if isinstance(self.lr, Schedule):
            rates = self.lr.values(step, count)
        else:
            rates = tabulate(self.lr, step, count)
        with np.errstate(over="ignore"):
            rates = self.scale * rates
        wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if wrong.size:
            at = int(wrong[0])
            source = self.lr if isinstance(self.lr, Schedule) else "the learning rate's function"
            raise ValueError(f"{source} gave {rates[at]} for step {step + at}")
        return rates

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{key}={value!r}" for key, value in {"lr": self.lr, **self.arguments()}.items()
        )
        return f"{type(self).__name__}({arguments})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    With gradient g (plus weight_decay · w): without momentum, w -= lr·g. With it, v = momentum·v + g (v = g
    at the first step) and w -= lr·v, or with Nesterov's form w -= lr·(g + momentum·v).

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        momentum: in [0, 1).
        nesterov: Nesterov's form, which needs a momentum.
        weight_decay: L2 penalty, ≥ 0.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "sgd"

    def __init__(
        self, lr: LearningRate, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr)
        self.momentum = _number(self, "momentum", momentum, below=1.0)
        self.nesterov = bool(nesterov)
        self.weight_decay = _number(self, "weight_decay", weight_decay)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("SGD: nesterov=True needs a momentum above 0")

    def hyper(self) -> dict[str, float | bool]:
        """The settings besides `lr`, by the core's names."""
        return {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.weight_decay}


class Adam(Optimizer):
    """Adam: D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015).

    With gradient g (plus weight_decay · w) at step t = 1, 2, ...: m = β₁m + (1-β₁)g, v = β₂v + (1-β₂)g²,
    w -= lr · (m / (1-β₁ᵗ)) / (sqrt(v / (1-β₂ᵗ)) + eps).

    Args:
        lr: learning rate, a number ≥ 0, a schedule or a function of the step.
        betas: (β₁, β₂), each in [0, 1).
        eps: > 0.
        weight_decay: L2 penalty, ≥ 0.

    Raises ValueError for values out of range, TypeError for what is not a number.
    """

    name = "adam"

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr)
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"Adam: betas must be a pair of numbers, got {betas!r}")
        self.betas = (
            _number(self, "betas[0]", betas[0], below=1.0),
            _number(self, "betas[1]", betas[1], below=1.0),
        )
        self.eps = _number(self, "eps", eps)
        if self.eps == 0.0:
            raise ValueError("Adam: eps must be above 0")
        self.weight_decay = _number(self, "weight_decay", weight_decay)

    def hyper(self) -> dict[str, float | bool]:
        """The settings besides `lr`, by the core's names."""
        beta1, beta2 = self.betas
        return {"beta1": beta1, "beta2": beta2, "eps": self.eps, "weight_decay": self.weight_decay}

    def arguments(self) -> dict[str, Any]:
        """The settings besides `lr`, by the names they are given by."""
        return {"betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}


def _number(owner: Optimizer, name: str, value: Any, below: float | None = None) -> float:
    """`value` as a float that is at least 0, finite and less than `below`."""
    return settings.number(type(owner).__name__, name, value, least=0, below=below)


_NAMED: dict[str, Callable[..., Optimizer]] = {"adam": Adam, "sgd": lambda lr=1e-2, **rest: SGD(lr, **rest)}


def resolve(optimizer: Any) -> Optimizer:
    """An optimizer from None (Adam with its defaults), a name ("sgd" has lr = 0.01) or itself."""
    if optimizer is None:
        return Adam()
    if isinstance(optimizer, str):
        return lookup("optimizer", optimizer, _NAMED)()
    if isinstance(optimizer, Optimizer):
        return optimizer
    raise TypeError(f"an optimizer is a name or an object such as optim.Adam(1e-3), got {optimizer!r}")


def from_config(config: dict[str, Any]) -> Optimizer | None:
    """The optimizer that `Optimizer.config` describes; None if its learning rate had a function.

    KeyError, TypeError or ValueError for what is no such description.
    """
    arguments = {key: value for key, value in config.items() if key not in ("name", "scale")}
    lr = arguments["lr"]
    if lr is None:
        return None
    if isinstance(lr, dict):
        arguments["lr"] = schedules.from_config(lr)
    optimizer = lookup("optimizer", config["name"], _NAMED)(**arguments)
    optimizer.scale = config.get("scale", 1.0)  # files of the first versions have none
    return optimizer
