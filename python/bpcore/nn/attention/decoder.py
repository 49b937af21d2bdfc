"""The decoder of transformers, which also sees what an encoder made."""

from __future__ import annotations

from typing import Any

from bpcore.nn.attention.block import Block, Stack
from bpcore.nn.attention.multi_head import MultiHeadAttention
from bpcore.nn.attention.sequences import sequence
from bpcore.nn.normalization.per_sample import LayerNorm

__all__ = ["TransformerDecoder", "TransformerDecoderLayer"]


class TransformerDecoderLayer(Block):
    """As `nn.TransformerEncoderLayer`, causal by default, with attention to a memory in the middle.

    Parts: `attention` and `cross_attention` (`nn.MultiHeadAttention`), `norm1`, `norm2`, `norm3`
    (`nn.LayerNorm`, of attention, cross-attention and network), `dense1`, `dense2`.

    Args and errors: as for `nn.TransformerEncoderLayer`; and

        memory_width: size of the memory's last axis, where it is not `width`.

    Source: A. Vaswani et al., Attention is all you need (2017).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        causal: bool = True,
        *,
        memory_width: int | None = None,
        dropout: float = 0.0,
        activation: Any = "gelu",
        norm_first: bool = True,
    ) -> None:
        super().__init__(width, heads, hidden, causal, dropout, norm_first)
        self.memory_width = memory_width
        self.norm1 = LayerNorm(width)
        self.attention = MultiHeadAttention(heads, width=width, dropout=dropout)
        self.norm2 = LayerNorm(width)
        self.cross_attention = MultiHeadAttention(
            heads, width=width, key_width=memory_width, value_width=memory_width, dropout=dropout
        )
        self.norm3 = LayerNorm(width)
        self._add_network(activation)

    def __call__(
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        lengths: Any = None,
        memory_lengths: Any = None,
    ) -> Any:
        """`x` (batch, time, width), `memory` (batch, memory time, memory_width), result of the shape of `x`.

        `mask` and `lengths` are those of the attention to `x`, the others those of the attention to `memory`.
        """
        x = sequence(self, "input", x, self.width)
        x = self._residual(x, self.norm1, lambda y: self.attention(y, None, None, mask, lengths, self.causal))
        x = self._residual(
            x, self.norm2, lambda y: self.cross_attention(y, memory, None, memory_mask, memory_lengths)
        )
        return self._residual(x, self.norm3, self._network)

    def _settings(self) -> list[str]:
        found = super()._settings()
        return found if self.memory_width is None else [*found, f"memory_width={self.memory_width}"]


class TransformerDecoder(Stack):
    """`layers` times `nn.TransformerDecoderLayer`, then `nn.LayerNorm`.

    Parts: `layers`, `norm`.

    Args:
        layers: how many.
        width, heads, hidden, causal, memory_width, dropout, activation, norm_first: as for the layer.
            An activation that is a module is copied for each layer.
        final_norm: False leaves the last normalisation out.

    Raises as the layer does.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        hidden: int,
        causal: bool = True,
        *,
        memory_width: int | None = None,
        dropout: float = 0.0,
        activation: Any = "gelu",
        norm_first: bool = True,
        final_norm: bool = True,
    ) -> None:
        def make(activation: Any) -> TransformerDecoderLayer:
            return TransformerDecoderLayer(
                width, heads, hidden, causal, memory_width=memory_width, dropout=dropout,
                activation=activation, norm_first=norm_first,
            )  # fmt: skip

        self._fill(layers, activation, make, final_norm)

    def __call__(
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        lengths: Any = None,
        memory_lengths: Any = None,
    ) -> Any:
        """`x` (batch, time, width), result the same; the others as for the layer."""
        return self._through(x, memory, mask, memory_mask, lengths, memory_lengths)
