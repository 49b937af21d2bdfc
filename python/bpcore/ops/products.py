"""Matrix products."""

from __future__ import annotations

from typing import Any

from bpcore.basics.arrays import is_sparse
from bpcore.symbolic import operators, sparse

__all__ = ["dense", "matmul"]


def matmul(a: Any, b: Any) -> Any:
    """Matrix product (..., m, n) of `a` (..., m, k) and `b` (..., k, n); the rest as in NumPy.

    `a` may be a sparse matrix of SciPy's.
    """
    if _sparse(a) or _sparse(b):
        return sparse.dense("matmul", a, b)
    return operators.matmul(a, b)


def dense(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """activation(x @ weight + bias) in one pass: `x` (..., in), `weight` (in, out), `bias` (out,) or None.

    `activation` is None, "relu", "sigmoid" or "tanh". `x` may be a sparse matrix of SciPy's.
    """
    if _sparse(x) or _sparse(weight):
        return sparse.dense("dense", x, weight, bias, activation or "")
    values = (x, weight) if bias is None else (x, weight, bias)
    return operators.add("dense", operators.unify("dense", *values), {"activation": activation or ""})


def _sparse(value: Any) -> bool:
    return isinstance(value, (sparse.SparseTensor, sparse.SparseMatrix)) or is_sparse(value)
