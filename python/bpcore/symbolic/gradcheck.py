"""The check of derivatives against differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import runtime
from bpcore._native import core
from bpcore.basics import settings
from bpcore.basics.arrays import FLOATS, Array, as_array
from bpcore.symbolic import operators
from bpcore.symbolic.autodiff import gradients_of
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Runner, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GradientError", "check_gradients"]

_STEP = float(np.finfo(np.float64).eps) ** (1 / 3)


class GradientError(AssertionError):
    """A derivative disagrees with the difference of the function's values."""


def check_gradients(
    fn: Callable[..., Any], *arrays: Any, tolerance: float = 1e-6, order: int = 1, seed: int = 0
) -> float:
    """Compares the derivatives of `fn` by each float array with central differences, in float64.

    Integer and bool arrays are handed to `fn` as they are. A result that is not a scalar is multiplied by
    random weights, keyed by `seed`, and summed; with ``order=2``, the derivatives of so weighted first
    derivatives are compared, and so on. Each array's element x is moved by ±h, h = eps^(1/3) · max(1, |x|)
    with the machine's eps.

    Returns the largest relative error: |analytic - numeric|, divided by the largest magnitude among that
    array's derivatives (by 1e-3 · max(1, |value|) at least, since differences can't see smaller ones). Raises
    GradientError, naming the argument and the index, if it exceeds `tolerance`; TypeError without float
    arrays. The points should keep away from kinks, such as 0 of relu.
    """
    order = settings.count("check_gradients", "order", order, 1)
    seed = settings.seed("check_gradients", seed)
    inputs = [as_array(array, "check_gradients") for array in arrays]
    moved = [i for i, array in enumerate(inputs) if array.dtype.name in FLOATS]
    if not moved:
        raise TypeError(
            "check_gradients: none of the arguments holds floats, so there is nothing to differentiate"
        )
    points = [inputs[i].astype(np.float64) for i in moved]
    evaluate, differentiate = _plan(fn, inputs, moved, points, order, seed)
    analytic = differentiate(points, threads=runtime.threads())
    floor = 1e-3 * max(1.0, abs(float(evaluate(points)[0])))
    worst = 0.0
    for i, point in enumerate(points):
        numeric = _differences(evaluate, points, i)
        if not point.size:
            continue
        scale = max(floor, float(np.abs(analytic[i]).max()), float(np.abs(numeric).max()))
        errors = np.abs(analytic[i] - numeric) / scale
        at = np.unravel_index(int(np.argmax(errors)), errors.shape)
        if not errors[at] <= tolerance:  # so that NaN fails too
            raise GradientError(
                f"argument {moved[i]}, index {tuple(map(int, at))}: the derivative is {analytic[i][at]}, the "
                f"difference of values {numeric[at]}; relative error {errors[at]:.2e} > {tolerance:.2e}"
            )
        worst = max(worst, float(errors[at]))
    return worst


def _plan(
    fn: Callable[..., Any], inputs: list[Array], moved: list[int], points: list[Array], order: int, seed: int
) -> tuple[Runner, Runner]:
    """What computes the weighted derivative of order `order` - 1, a scalar, and what differentiates it."""
    with Trace(dtype="float64") as trace:
        symbols = [Tensor(trace, trace.graph.input(point.shape, "float64")) for point in points]
        args: list[Any] = list(inputs)
        for position, symbol in zip(moved, symbols, strict=True):
            args[position] = symbol
        value = _weighted([fn(*args)], seed, 0)
        for level in range(1, order):
            value = _weighted(gradients_of(value, symbols, trace), seed, level)
        gradients = gradients_of(value, symbols, trace)
        result = (
            value if isinstance(value, Tensor) else Tensor(trace, trace.graph.constant(np.asarray(value)))
        )
    return trace.runner([result.node]), trace.runner([gradient.node for gradient in gradients])


def _weighted(parts: list[Any], seed: int, level: int) -> Any:
    """The sum of all elements of `parts`, each times a random weight; a single scalar as it is."""
    if level == 0 and getattr(parts[0], "shape", ()) == ():
        return parts[0]
    terms = [
        operators.reduce("sum", part * core.random_normal(part.shape, seed, level * 1000 + i), None, False)
        for i, part in enumerate(parts)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _differences(evaluate: Runner, points: list[Array], i: int) -> Array:
    """Central differences of the scalar by each element of point `i`."""
    result = np.empty_like(points[i])
    for at in np.ndindex(points[i].shape):
        x = float(points[i][at])
        ends = [x + _STEP * max(1.0, abs(x)), x - _STEP * max(1.0, abs(x))]
        values = []
        for end in ends:
            moved = points[i].copy()
            moved[at] = end
            values.append(float(evaluate([*points[:i], moved, *points[i + 1 :]])[0]))
        result[at] = (values[0] - values[1]) / (ends[0] - ends[1])
    return result
