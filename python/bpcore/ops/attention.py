"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bpcore.basics.arrays import kind_of
from bpcore.basics.settings import flag, number
from bpcore.symbolic import operators, randomness

__all__ = ["packed_attention", "scaled_dot_product_attention"]

_WHO = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    lengths: Any = None,
) -> Any:
    """softmax(q kᵀ · scale) v for each head: each query's mean of values, weighted by how its key fits.

    `q` (batch, queries, heads, width), `k` and `v` (batch, keys, heads, width), result of the shape of `q`:
    what a product makes of (batch, time, features), reshaped, with no axes moved. Computed block by block, so
    that memory does not grow with queries · keys.

    Args:
        q, k, v: float, of one dtype.
        mask: bool, True where a key is seen, as in PyTorch; broadcasts to (batch, heads, queries, keys).
        causal: query i sees keys 0 ... i only.
        scale: 1 / √width unless given.
        dropout: in training mode, the share of weights that become 0, the others divided by 1 - dropout.
        lengths: int64 (batch,), from 0 to keys: only the first so many keys of a sample are seen.

    A query that sees no key gets zeros, and passes no gradient on.

    Raises ValueError for shapes that don't fit, lengths and a dropout out of range, TypeError for dtypes.

    Source: A. Vaswani et al., Attention is all you need (2017); the blocks: M. N. Rabe and C. Staats,
    Self-attention does not need O(n²) memory (2021), T. Dao et al., FlashAttention (2022).
    """
    items = operators.unify(_WHO, q, k, v)
    if any(item.ndim != 4 for item in items):
        shapes = ", ".join(str(item.shape) for item in items)
        raise ValueError(f"{_WHO}: expected q, k and v of shape (batch, time, heads, width), got {shapes}")
    return attend(items, 0, items[0].shape, mask, causal, scale, dropout, lengths)


def packed_attention(
    qkv: Any, heads: int, mask: Any, causal: bool, dropout: float, lengths: Any, path: str
) -> Any:
    """As `scaled_dot_product_attention` with q, k and v one behind the other in `qkv`.

    `qkv` (batch, time, 3 · features), as one product makes it, result (batch, time, features), each the
    `heads` side by side; for the module at `path`.
    """
    item = operators.operand(qkv, _WHO)
    batch, time, size = item.shape
    shape = (batch, time, heads, size // (3 * heads))
    y = attend([item], heads, shape, mask, causal, None, dropout, lengths, path)
    return operators.reshape(y, (batch, time, size // 3))


def attend(
    items: list[Any],
    heads: int,
    shape: tuple[int, ...],
    mask: Any,
    causal: bool,
    scale: float | None,
    dropout: float,
    lengths: Any,
    path: str = "",
) -> Any:
    """The output, of `shape`, of the op of the core: of q, k and v, or with `heads` > 0 of all in one."""
    options = {
        "heads": heads,
        "causal": flag(_WHO, "causal", causal),
        "scale": 1 / math.sqrt(max(shape[-1], 1)) if scale is None else number(_WHO, "scale", scale),
        "masked": mask is not None,
        "lengths": lengths is not None,
    }
    rate = number(_WHO, "dropout", dropout, least=0, most=1)
    extra = []
    if mask is not None:
        extra.append(_of_kind("mask", mask, "bool"))
    if lengths is not None:
        extra.append(_of_kind("lengths", lengths, "int64"))
    items, random = randomness.dropout_inside(rate, [*items, *extra], path)
    record = operators.add("attention", items, {**options, **random})
    return operators.add("part", [record], {"offset": 0, "shape": list(shape)})


def _of_kind(name: str, value: Any, dtype: str) -> Any:
    """`value` as an operand of `dtype`, TypeError if it is of another."""
    item = operators.operand(value, _WHO)
    if isinstance(item, np.ndarray) and dtype == "int64" and item.dtype.kind in "iu":
        item = item.astype("int64")
    if str(item.dtype) != dtype:
        raise TypeError(f"{_WHO}: {name} must be {kind_of(dtype)}, not {kind_of(item.dtype)}")
    return item
