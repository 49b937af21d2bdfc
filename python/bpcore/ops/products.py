"""Matrix products."""

from __future__ import annotations

from typing import Any

from bpcore import tensor

__all__ = ["dense", "matmul"]


def matmul(a: Any, b: Any) -> Any:
    """Matrix product (..., m, n) of `a` (..., m, k) and `b` (..., k, n); the rest as in NumPy."""
    return tensor.matmul(a, b)


def dense(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """activation(x @ weight + bias) in one pass: `x` (..., in), `weight` (in, out), `bias` (out,) or None.

    `activation` is None, "relu", "sigmoid" or "tanh".
    """
    values = (x, weight) if bias is None else (x, weight, bias)
    return tensor.add("dense", tensor.unify("dense", *values), {"activation": activation or ""})
