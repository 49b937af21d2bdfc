"""Normalisations of the last axes in one pass."""

from __future__ import annotations

from typing import Any

from bpcore.basics.settings import count, number
from bpcore.symbolic import operators

__all__ = ["layer_norm", "rms_norm"]


def layer_norm(x: Any, weight: Any = None, bias: Any = None, *, axes: int = 1, eps: float = 1e-5) -> Any:
    """weight · (x - mean) / sqrt(variance + eps) + bias over the last `axes` axes, taken as one.

    `x` (..., *sizes) (float), `weight` and `bias` (*sizes) or None, result of the shape of `x`. The variance
    is the biased one. J. L. Ba, J. R. Kiros and G. E. Hinton (2016). A bias needs a weight.
    """
    if bias is not None and weight is None:
        raise ValueError("layer_norm: a bias needs a weight")
    return _norm("layer_norm", [x, weight, bias], axes, eps)


def rms_norm(x: Any, weight: Any = None, *, axes: int = 1, eps: float = 1e-5) -> Any:
    """weight · x / sqrt(mean(x²) + eps) over the last `axes` axes, taken as one.

    `x` (..., *sizes) (float), `weight` (*sizes) or None, result of the shape of `x`. B. Zhang and R. Sennrich
    (2019).
    """
    return _norm("rms_norm", [x, weight], axes, eps)


def _norm(op: str, values: list[Any], axes: int, eps: float) -> Any:
    items = operators.unify(op, *(value for value in values if value is not None))
    return operators.add(
        op, items, {"axes": count(op, "axes", axes, 1), "eps": number(op, "eps", eps, least=0)}
    )
