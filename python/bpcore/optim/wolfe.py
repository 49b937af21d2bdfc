"""A line search for a step along a direction that meets the strong Wolfe conditions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array

__all__ = ["Trial", "interpolate", "strong_wolfe"]

_DECREASE, _CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the conditions


class Trial(NamedTuple):
    """What is known of a step of length t along the direction."""

    t: float
    loss: float  # infinite where loss or gradient is not finite
    gradient: Array
    slope: float  # of the loss by t: gradient · direction


def strong_wolfe(
    evaluate: Callable[[float], Trial],
    start: Trial,
    t: float,
    reach: float,
    tolerance_change: float,
    most: int,
) -> tuple[Trial, int]:
    """A step that meets the strong Wolfe conditions, or the best one found, and how many were evaluated.

    With f(t) the loss: f(t) ≤ f(0) + c₁·t·f'(0) and abs(f'(t)) ≤ c₂·abs(f'(0)), c₁ = 1e-4, c₂ = 0.9. Steps
    grow until an interval must hold such a t, which is then narrowed by cubic interpolation: J. Nocedal and
    S. Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with the safeguards of M. Schmidt,
    minFunc (2005), as PyTorch has them. A t where the loss is not finite ends the interval, too, and is never
    the result.

    Args:
        evaluate: the trial of a t.
        start: that of t = 0, with a slope below 0.
        t: the first one to try.
        reach: by how much the fastest parameter moves per unit of t.
        tolerance_change: an interval in which no parameter moves by as much is narrow enough.
        most: how many steps may be evaluated after the first.
    """

    def too_high(trial: Trial) -> bool:
        return trial.loss > start.loss + _DECREASE * trial.t * start.slope

    def flat_enough(trial: Trial) -> bool:
        return abs(trial.slope) <= -_CURVATURE * start.slope

    before, trial, count = start, evaluate(t), 0
    while count < most:
        if too_high(trial) or (count > 1 and trial.loss >= before.loss):
            break
        if flat_enough(trial):
            return trial, count + 1
        if trial.slope >= 0:
            break
        t = interpolate(before, trial, (trial.t + 0.01 * (trial.t - before.t), 10 * trial.t))
        before, trial, count = trial, evaluate(t), count + 1
    else:
        before = start

    ends = [before, trial]
    low = _lower(ends)
    stalled = False  # whether the last t lay close to an end
    while count < most and not abs(ends[1].t - ends[0].t) * reach < tolerance_change:
        t, stalled = _inside(ends, stalled)
        trial, count = evaluate(t), count + 1
        if too_high(trial) or trial.loss >= ends[low].loss:
            ends[1 - low] = trial
            low = _lower(ends)
            continue
        if flat_enough(trial):
            return trial, count + 1
        if trial.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = trial
    return ends[low], count + 1


def _lower(ends: list[Trial]) -> int:
    return 0 if ends[0].loss <= ends[1].loss else 1


def _inside(ends: list[Trial], stalled: bool) -> tuple[float, bool]:
    """The next t between the ends, and whether it lies close to one.

    That may be so once. The second time, or at an end itself, it is put a tenth of the interval away.
    """
    t = interpolate(ends[0], ends[1])
    left, right = sorted(end.t for end in ends)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not stalled and left < t < right:
        return t, True
    return (right - margin if abs(t - right) < abs(t - left) else left + margin), False


def interpolate(a: Trial, b: Trial, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through losses and slopes of `a` and `b` is least, within bounds, else between them.

    Nocedal and Wright, formula 3.59. The middle of the bounds if there is no such place.
    """
    least, most = bounds or (min(a.t, b.t), max(a.t, b.t))
    if a.t > b.t:
        a, b = b, a
    width = b.t - a.t
    t = math.nan
    if width > 0:
        first = a.slope + b.slope - 3 * (b.loss - a.loss) / width
        square = first * first - a.slope * b.slope
        if square >= 0:
            second = math.sqrt(square)
            below = b.slope - a.slope + 2 * second
            if below != 0:
                t = b.t - width * ((b.slope + second - first) / below)
    return (least + most) / 2 if math.isnan(t) else min(max(t, least), most)
