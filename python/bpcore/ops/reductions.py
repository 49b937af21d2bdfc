"""Over axes: axis is None (all of them), an integer or several; keepdims leaves axes of size 1."""

from __future__ import annotations

from typing import Any

from bpcore.basics.settings import integer
from bpcore.symbolic import operators
from bpcore.symbolic.operators import apply

__all__ = ["argmax", "argmin", "log_softmax", "max", "mean", "min", "softmax", "sum"]


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
