"""Over axes: axis is None (all of them), an integer or several; keepdims leaves axes of size 1."""

from __future__ import annotations

import math
from typing import Any

from bpcore.basics.settings import integer
from bpcore.symbolic import operators
from bpcore.symbolic.operators import apply

__all__ = [
    "argmax",
    "argmin",
    "cumsum",
    "log_softmax",
    "logsumexp",
    "max",
    "mean",
    "min",
    "softmax",
    "std",
    "sum",
    "var",
]


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum of `x` (number) over `axis`."""
    return operators.reduce("sum", x, axis, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean of `x` (float) over `axis`."""
    return operators.reduce("mean", x, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element of `x` (number) over `axis`; equal ones share the derivative evenly."""
    return operators.reduce("max", x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element of `x` (number) over `axis`; equal ones share the derivative evenly."""
    return operators.reduce("min", x, axis, keepdims)


def var(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Variance of `x` (float) over `axis`: Σ (x - mean)² / (n - ddof) of n elements.

    The mean comes first, then the squares, so that a large mean takes no digits from the result. A `ddof` of
    1 is the estimate for a population (`torch.var`), 0 the variance of what is there (`numpy.var`). Raises
    ValueError if `ddof` is negative or leaves nothing to divide by.
    """
    return operators.variance("var", x, axis, keepdims, ddof)


def std(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """Standard deviation of `x` (float) over `axis`, the root of `var`, which says what `ddof` is.

    It has no derivative where all elements are equal: NaN there.
    """
    return apply("sqrt", operators.variance("std", x, axis, keepdims, ddof))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Logarithm of the sum of exp(x) over `axis` (float), without overflow; its derivative is the softmax.

    Where there is nothing but -inf, it is -inf, and the derivative is 0. Raises ValueError for an axis
    without elements.
    """
    who = "logsumexp"
    item, axes = operators.reducible(who, x, axis)
    if 0 in (item.shape[axis] for axis in axes):
        raise ValueError(f"{who}: there is an axis without elements to reduce in shape {item.shape}")
    # Any constant would do; the largest element keeps exp from overflowing, but an infinite one gives NaN.
    largest = apply("stop_gradient", max(item, axes, keepdims=True))
    finite = operators.binary("less", apply("abs", largest), math.inf)
    shift = operators.choose(finite, largest, 0.0)
    total = sum(apply("exp", operators.binary("subtract", item, shift)), axes, keepdims=True)
    nothing = operators.binary("equal", total, 0.0)
    logarithm = operators.binary("add", apply("log", operators.choose(nothing, 1.0, total)), shift)
    result = operators.choose(nothing, -math.inf, logarithm)
    kept = [size for at, size in enumerate(item.shape) if at not in axes]
    return result if keepdims else operators.reshape(result, kept)


def cumsum(x: Any, axis: int = -1, reverse: bool = False) -> Any:
    """Running sums of `x` (number) along `axis`: of all elements up to each, itself included.

    With `reverse`, of all from each to the end, as returns are of rewards. Integers wrap around, as NumPy's.
    """
    return apply("cumsum", x, axis=integer("cumsum", "axis", axis), reverse=bool(reverse))


def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Index (int64) of the largest element of `x` (number) along `axis`, the first of equal ones."""
    return apply("argmax", x, axis=integer("argmax", "axis", axis), keepdims=bool(keepdims))


def argmin(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Index (int64) of the smallest element of `x` (number) along `axis`, the first of equal ones."""
    return apply("argmin", x, axis=integer("argmin", "axis", axis), keepdims=bool(keepdims))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum along `axis` (float), without overflow."""
    return apply("softmax", x, axis=integer("softmax", "axis", axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x minus the logarithm of the sum of exp(x) along `axis` (float), without overflow."""
    return apply("log_softmax", x, axis=integer("log_softmax", "axis", axis))
