"""Vectors for tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS, kind_of
from bpcore.basics.settings import count as checked_count
from bpcore.basics.settings import integer
from bpcore.nn import init as initializers
from bpcore.nn.init import resolve
from bpcore.nn.init.common import Initializer, Settings
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter
from bpcore.symbolic import operators, tracing

__all__ = ["Embedding"]


class Embedding(Module):
    """weight[tokens]: `tokens` (...) integers of any width in [0, count), result (..., width).

    Parameters: `weight` (count, width), initially normal with mean 0 and standard deviation 1, as in PyTorch.

    The gradient is the sum over a token's occurrences in their order. The weight may serve as the last layer,
    too (O. Press and L. Wolf, Using the output embedding to improve language models (2017)); it then gets the
    sum of both gradients:

        logits = ops.matmul(h, ops.transpose(embedding.weight))    # h (..., width), logits (..., count)

    Args:
        count: the number of tokens.
        width: the size of a token's vector.
        padding_index: a token whose vector is 0: its row of the weight is initially 0, and gets no gradient.
        init: initial weight (see `nn.Parameter`).

    Raises ValueError for sizes below 1, a padding_index outside of [0, count), and tokens out of range, which
    are found before anything changes; TypeError for settings that are no integers, and for tokens that are
    floats or bools.
    """

    _set_once = ("count", "width")
    _not_kept = ("init",)

    def __init__(self, count: int, width: int, *, padding_index: int | None = None, init: Any = None) -> None:
        self.count = self._rows = checked_count("Embedding", "count", count, 1)
        self.width = checked_count("Embedding", "width", width, 1)
        initializer = initializers.Normal() if init is None else resolve(init)
        if padding_index is not None:
            padding_index = integer("Embedding", "padding_index", padding_index)
            if not 0 <= padding_index < self.count:
                raise ValueError(
                    f"Embedding: padding_index must lie in [0, {self.count}), got {padding_index}"
                )
            initializer = _ZeroRow(initializer, padding_index)
        self.padding_index = padding_index
        self.weight = Parameter((self.count, self.width), initializer)

    def __call__(self, tokens: Any) -> Any:
        """`tokens` (...), result (..., width)."""
        tokens = operators.operand(tokens, "Embedding")
        trace = tracing.current()
        if trace is not None and trace.building and str(tokens.dtype) in FLOATS:
            tokens = ops.cast(tokens, "int64")  # `Module.build` knows shapes only
        if str(tokens.dtype) != "int64":
            raise TypeError(f"{self._title()}: tokens must be integers, not {kind_of(tokens.dtype)}")
        vectors = ops.gather(self.weight, tokens)
        if self.padding_index is None:
            return vectors
        padding = ops.expand_dims(ops.equal(tokens, self.padding_index), -1)
        return ops.where(padding, 0.0, vectors)

    def __repr__(self) -> str:
        padding = "" if self.padding_index is None else f", padding_index={self.padding_index}"
        return f"Embedding({self.count}, {self.width}{padding})"


class _ZeroRow(Settings):
    """An initializer, with zeros in one row."""

    def __init__(self, initializer: Initializer, row: int) -> None:
        self.initializer = initializer
        self.row = row

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Any:
        values = np.array(self.initializer(shape, seed, stream))
        values[self.row] = 0
        return values
