"""Schedules along a cosine or in cycles."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bpcore.basics.settings import flag
from bpcore.schedules.base import Formula

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Cosine", "CosineRestarts", "Cyclic", "OneCycle"]


@dataclass(frozen=True)
class Cosine(Formula):
    """From `lr` down to `eta_min` along half a cosine, as PyTorch's CosineAnnealingLR.

    eta_min + (lr - eta_min) · (1 + cos(π · t / steps)) / 2. I. Loshchilov and F. Hutter, SGDR: stochastic
    gradient descent with warm restarts (2017), without the restarts.

    Args:
        lr: first rate, ≥ 0.
        steps: updates until eta_min is reached (`T_max`), ≥ 1.
        eta_min: last rate, in [0, lr].
        periodic: what comes after `steps`. False: the rate stays at eta_min, t = min(step, steps). True: t =
            step, and it rises again along the cosine, which is what PyTorch does.
    """

    name: ClassVar[str] = "cosine"
    lr: float
    steps: int
    eta_min: float = 0.0
    periodic: bool = False

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("steps")
        self._number("eta_min", least=0, most=self.lr)
        self._put("periodic", flag("Cosine", "periodic", self.periodic))

    def _rates(self, steps: Array) -> Array:
        t = steps % (2 * self.steps) if self.periodic else np.minimum(steps, self.steps)
        return _cosine(self.lr, self.eta_min, t / self.steps)


@dataclass(frozen=True)
class CosineRestarts(Formula):
    """Half a cosine from `lr` to `eta_min` again and again, as PyTorch's CosineAnnealingWarmRestarts.

    eta_min + (lr - eta_min) · (1 + cos(π · t / T)) / 2, with t the steps since the last restart and T the
    length of that round: T_0, T_0 · T_mult, T_0 · T_mult², ... I. Loshchilov and F. Hutter, SGDR: stochastic
    gradient descent with warm restarts (2017).

    Args:
        lr: rate at each restart, ≥ 0.
        T_0: length of the first round, ≥ 1.
        T_mult: how many times longer each next round is, a whole number ≥ 1.
        eta_min: what each round falls to, in [0, lr].
    """

    name: ClassVar[str] = "cosine_restarts"
    lr: float
    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        self._number("lr", least=0)
        self._count("T_0")
        self._count("T_mult")
        self._number("eta_min", least=0, most=self.lr)

    def _rates(self, steps: Array) -> Array:
        if self.T_mult == 1:
            return _cosine(self.lr, self.eta_min, steps % self.T_0 / self.T_0)
        starts, lengths = [0], [self.T_0]
        while starts[-1] + lengths[-1] <= steps[-1]:
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.T_mult)
        begun = np.array(starts, np.float64)
        cycle = np.searchsorted(begun, steps, side="right") - 1
        return _cosine(self.lr, self.eta_min, (steps - begun[cycle]) / np.array(lengths, np.float64)[cycle])


@dataclass(frozen=True)
class OneCycle(Formula):
    """Up to `max_lr`, then down to almost 0, as PyTorch's OneCycleLR; momentum is left alone.

    L. N. Smith and N. Topin, Super-convergence: very fast training of neural networks using large learning
    rates (2018). Rises from max_lr / div_factor for pct_start · total_steps updates, then falls to
    max_lr / div_factor / final_div_factor, which the last update has. With three phases it first falls as
    long as it has risen, to where it began. After `total_steps` the rate stays at the last one, where PyTorch
    raises an error.

    Args:
        max_lr: rate at the peak, ≥ 0.
        total_steps: ≥ 1.
        pct_start: part of the steps that rise, in [0, 1], or in [0, 0.5] with three phases.
        anneal_strategy: "cos" or "linear".
        div_factor: > 0.
        final_div_factor: > 0.
        three_phase: fall to where it began before it falls to the end.
    """

    name: ClassVar[str] = "one_cycle"
    max_lr: float
    total_steps: int
    _: KW_ONLY
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._number("max_lr", least=0)
        self._count("total_steps")
        self._put("three_phase", flag("OneCycle", "three_phase", self.three_phase))
        self._number("pct_start", least=0, most=0.5 if self.three_phase else 1)
        self._choice("anneal_strategy", "cos", "linear")
        self._number("div_factor", above=0)
        self._number("final_div_factor", above=0)

    def _rates(self, steps: Array) -> Array:
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        top, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if self.three_phase:
            middle = 2 * self.pct_start * self.total_steps - 2
            phases = [
                (0.0, top, first, self.max_lr),
                (top, middle, self.max_lr, first),
                (middle, end, first, last),
            ]
        else:
            phases = [(0.0, top, first, self.max_lr), (top, end, self.max_lr, last)]
        t = np.minimum(steps, end)
        rates = np.full(t.shape, last)
        for start, stop, high, low in reversed(phases):  # an earlier phase has its last step for itself
            part = (t - start) / (stop - start) if stop > start else np.ones(t.shape)
            anneal = _cosine if self.anneal_strategy == "cos" else _line
            rates = np.where(t <= stop, anneal(high, low, part), rates)
        return rates


@dataclass(frozen=True)
class Cyclic(Formula):
    """Up and down between `base_lr` and `max_lr` in straight lines, as PyTorch's CyclicLR; no momentum.

    L. N. Smith, Cyclical learning rates for training neural networks (2017).

    Args:
        max_lr: rate at the peak, ≥ 0.
        base_lr: rate at the start and end of a cycle, in [0, max_lr].
        step_size_up: updates from base_lr to max_lr, ≥ 1.
        step_size_down: updates from max_lr to base_lr, ≥ 1; step_size_up if None.
        mode: "triangular": all cycles alike. "triangular2": each is half as high as the one before.
            "exp_range": a step's height above base_lr is multiplied by gamma^step.
        gamma: of "exp_range", > 0.
    """

    name: ClassVar[str] = "cyclic"
    max_lr: float
    _: KW_ONLY
    base_lr: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        self._number("max_lr", least=0)
        self._number("base_lr", least=0, most=self.max_lr)
        self._count("step_size_up")
        if self.step_size_down is None:
            self._put("step_size_down", self.step_size_up)
        self._count("step_size_down")
        self._choice("mode", "triangular", "triangular2", "exp_range")
        self._number("gamma", above=0)

    def _rates(self, steps: Array) -> Array:
        assert self.step_size_down is not None
        length = self.step_size_up + self.step_size_down
        t = steps % length
        rising = t <= self.step_size_up
        height = np.where(rising, t / self.step_size_up, (length - t) / self.step_size_down)
        if self.mode == "triangular2":
            height = height * 0.5 ** (steps // length)
        elif self.mode == "exp_range":
            height = height * self.gamma**steps
        return self.base_lr + (self.max_lr - self.base_lr) * height


def _cosine(start: float, end: float, part: Array) -> Array:
    """From `start` to `end` along half a cosine, as `part` goes from 0 to 1; exactly those at its ends."""
    weight = (1 + np.cos(math.pi * part)) / 2
    return start * weight + end * (1 - weight)


def _line(start: float, end: float, part: Array) -> Array:
    """From `start` to `end` in a straight line, as `part` goes from 0 to 1; exactly those at its ends."""
    return start * (1 - part) + end * part
