"""L-BFGS: a quasi-Newton method for full batches, whose steps evaluate loss and gradient several times.

It works on one flat array of all that is trained. The order of every sum depends on sizes alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bpcore.basics.settings import count
from bpcore.optim.base import LearningRate, Optimizer, check_number
from bpcore.optim.wolfe import Trial, strong_wolfe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore.basics.arrays import Array
    from bpcore.optim.groups import Group

__all__ = ["LBFGS", "Memory", "Pair", "Point"]

_LEAST_CURVATURE = 1e-10  # pairs below it would spoil the approximation


class Pair(NamedTuple):
    """A step and what it did to the gradient, which tell about the curvature."""

    change: Array  # of the gradient
    move: Array  # of the parameters
    inverse: float  # 1 / (change · move)


@dataclass
class Memory:
    """What L-BFGS remembers from one step to the next. Arrays in it are replaced, never written to."""

    pairs: list[Pair] = field(default_factory=list)  # the oldest first
    scale: float = 1.0  # of the approximation's diagonal to begin with
    direction: Array | None = None  # the last one taken; None before the first
    t: float = 0.0  # how far
    gradient: Array | None = None  # before it
    n_iter: int = 0  # iterations so far
    func_evals: int = 0  # evaluations of loss and gradient so far


class Point(NamedTuple):
    """Loss and gradient at a place; the loss is infinite where one of them is not finite."""

    loss: float
    gradient: Array


class LBFGS(Optimizer):
    """L-BFGS: D. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization (1989).

    For full batches: ``fit`` wants a `batch_size` of at least the number of samples, and doesn't shuffle. A
    step is one of PyTorch's ``optimizer.step(closure)``: up to `max_iter` iterations on one batch, with the
    same random numbers and the same states in all evaluations. States, as running statistics, are written
    once a step, from its first evaluation, whose loss the step returns. Each iteration moves by t along
    d = -H·g, where H approximates the inverse Hessian by the last `history_size` moves and changes of the
    gradient (algorithm 7.4 in J. Nocedal and S. Wright, Numerical Optimization, 2006). t is `lr`, and in the
    very first iteration min(1, 1/Σabs(g))·lr; a line search begins there. At lr = 0 nothing moves.

    A loss or gradient that is not finite refuses the step if it is the first of the step, or without a line
    search any: parameters, states and memory stay. A line search takes such a place for too far away.
    The memory is dropped where a direction overflows, and when layers are frozen or trained again.

    Args:
        lr: length of a step, a number ≥ 0 or a function of the step.
        max_iter: iterations a step, at most.
        max_eval: evaluations a step, at most (a line search under way may take one more); 1.25 · max_iter if
            None.
        tolerance_grad: stop where no element of the gradient is larger.
        tolerance_change: stop where neither the loss nor a parameter changes by more.
        history_size: moves to remember; each takes twice the memory of what is trained.
        line_search_fn: "strong_wolfe", which needs no fitting `lr`, or None.
        groups: must be empty: the approximation is one for all parameters. To keep layers as they are, see
            `Module.freeze`.

    Raises ValueError for values out of range, TypeError for what is not a number. A trainer with this
    optimizer refuses clip_norm, clip_layer_norm, clip_value, ema, nonfinite="skip" and parameters with a
    constraint, which would all move away from where the approximation thinks it is.
    """

    name = "lbfgs"
    max_iter: int
    max_eval: int
    tolerance_grad: float
    tolerance_change: float
    history_size: int
    line_search_fn: str | None

    def __init__(
        self,
        lr: LearningRate = 1.0,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        max_iter = count("LBFGS", "max_iter", max_iter, 1)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f'LBFGS: line_search_fn must be "strong_wolfe" or None, got {line_search_fn!r}')
        super().__init__(
            lr,
            groups,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else count("LBFGS", "max_eval", max_eval, 1),
            tolerance_grad=check_number(self, "tolerance_grad", tolerance_grad),
            tolerance_change=check_number(self, "tolerance_change", tolerance_change),
            history_size=count("LBFGS", "history_size", history_size, 1),
            line_search_fn=line_search_fn,
        )
        if self.groups:
            raise ValueError("LBFGS: it treats all parameters together, so there can be no groups")

    def minimise(
        self, rate: float, x: Array, point: Point, memory: Memory, evaluate: Callable[[Array], Point]
    ) -> tuple[Array, Memory] | None:
        """A step from `x`, where loss and gradient are `point`, as `rate` for lr: the new x and memory.

        None if something was not finite on the way. Nothing that is given is changed.
        """
        loss, gradient = point
        memory = replace(memory, pairs=list(memory.pairs), func_evals=memory.func_evals + 1)
        if rate == 0 or largest(gradient) <= self.tolerance_grad:
            return x, memory
        evaluations = 1
        for number in range(1, self.max_iter + 1):
            d, t = self._direction(memory, gradient, rate)
            before = loss
            memory.gradient, memory.direction, memory.t = gradient, d, t
            memory.n_iter += 1
            slope = dot(gradient, d)
            if not slope <= -self.tolerance_change:
                break
            used = 0
            if self.line_search_fn is not None:
                start = Trial(0.0, loss, gradient, slope)
                found, used = strong_wolfe(
                    _along(x, d, evaluate),
                    start,
                    t,
                    largest(d),
                    self.tolerance_change,
                    self.max_eval - evaluations,
                )
                t, loss, gradient = found.t, found.loss, found.gradient
                x, memory.t = moved(x, t, d), t
            else:
                x = moved(x, t, d)
                if number < self.max_iter:
                    (loss, gradient), used = evaluate(x), 1
                if not (math.isfinite(loss) and math.isfinite(largest(x))):
                    return None
            evaluations += used
            memory.func_evals += used
            if (
                evaluations >= self.max_eval
                or largest(gradient) <= self.tolerance_grad
                or t * largest(d) <= self.tolerance_change
                or abs(loss - before) < self.tolerance_change
            ):
                break
        return x, memory

    def _direction(self, memory: Memory, gradient: Array, rate: float) -> tuple[Array, float]:
        """The next direction, once the last move is in the memory, and how far to go at first."""
        if memory.direction is not None and memory.gradient is not None:
            change, move = gradient - memory.gradient, scaled(memory.t, memory.direction)
            curvature, square = dot(change, move), dot(change, change)
            scale = curvature / square if square > 0 else math.inf
            if curvature > _LEAST_CURVATURE and 0 < scale < math.inf:
                del memory.pairs[: max(0, len(memory.pairs) - self.history_size + 1)]
                memory.pairs.append(Pair(change, move, 1 / curvature))
                memory.scale = scale
            direction = _two_loops(memory, gradient)
            if math.isfinite(largest(direction)):
                return direction, rate
        memory.pairs.clear()
        memory.scale = 1.0
        return -gradient, rate * min(1.0, 1.0 / _sum_of_sizes(gradient))


def _two_loops(memory: Memory, gradient: Array) -> Array:
    """-H · gradient; Nocedal and Wright, algorithm 7.4."""
    direction, factors = -gradient, []
    for pair in reversed(memory.pairs):
        factor = dot(pair.move, direction) * pair.inverse
        direction -= scaled(factor, pair.change)
        factors.append(factor)
    direction = scaled(memory.scale, direction)
    for pair, factor in zip(memory.pairs, reversed(factors), strict=True):
        direction += scaled(factor - dot(pair.change, direction) * pair.inverse, pair.move)
    return direction


def _along(x: Array, d: Array, evaluate: Callable[[Array], Point]) -> Callable[[float], Trial]:
    def trial(t: float) -> Trial:
        loss, gradient = evaluate(moved(x, t, d))
        return Trial(t, loss, gradient, dot(gradient, d) if math.isfinite(loss) else math.inf)

    return trial


# Numbers are float64 whatever the arrays are: a product of two float32 has no rounding error there, and no
# overflow. NumPy adds up pairwise, in an order that is the same for any number of threads; BLAS doesn't.


def dot(a: Array, b: Array) -> float:
    """a · b."""
    return float(np.add.reduce(np.multiply(a, b, dtype=np.float64)))


def largest(a: Array) -> float:
    """The largest size of an element; NaN if one is NaN."""
    return float(np.abs(a).max())


def _sum_of_sizes(a: Array) -> float:
    return float(np.add.reduce(np.abs(a), dtype=np.float64))


def scaled(factor: float, a: Array) -> Array:
    """factor · a, in the dtype of `a` also if the factor exceeds it."""
    product: Array = a.dtype.type(factor) * a
    return product


def moved(x: Array, t: float, d: Array) -> Array:
    """x + t · d."""
    return x + scaled(t, d)
