"""The encoder of transformers."""

from __future__ import annotations

from typing import Any

from bpcore.nn.attention.block import Block, Stack
from bpcore.nn.attention.multi_head import MultiHeadAttention
from bpcore.nn.attention.sequences import sequence
from bpcore.nn.normalization.per_sample import LayerNorm

__all__ = ["TransformerEncoder", "TransformerEncoderLayer"]


class TransformerEncoderLayer(Block):
    """Self-attention, then a network of two dense layers for each position, both added to their input.

    x + attention(norm1(x)), then x + dense2(activation(dense1(norm2(x)))); with ``norm_first=False``,
    norm1(x + attention(x)), then norm2(x + dense2(activation(dense1(x)))), as in the source.

    Sources: A. Vaswani et al., Attention is all you need (2017); R. Xiong et al., On layer normalization in
    the transformer architecture (2020), for normalising first.

    Parts: `attention` (`nn.MultiHeadAttention`), `norm1`, `norm2` (`nn.LayerNorm`), `dense1`, `dense2`.

    Args:
        width: size of the last axis of input and output.
        heads: number of heads, a divisor of width.
        hidden: units of `dense1`.
        causal: True lets position i see positions 0 ... i only, as in a language model.
        dropout: of the attention's weights, of what both parts add, and behind the activation.
        activation: of `dense1`, as for `nn.Dense`; "glu" and "swiglu" halve `hidden`.
        norm_first: False normalises behind each sum.

    Raises ValueError for values out of range and input that doesn't fit, TypeError for values of another
    kind.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        causal: bool = False,
        *,
        dropout: float = 0.0,
        activation: Any = "gelu",
        norm_first: bool = True,
    ) -> None:
        super().__init__(width, heads, hidden, causal, dropout, norm_first)
        self.norm1 = LayerNorm(width)
        self.attention = MultiHeadAttention(heads, width=width, dropout=dropout)
        self.norm2 = LayerNorm(width)
        self._add_network(activation)

    def __call__(self, x: Any, mask: Any = None, lengths: Any = None) -> Any:
        """`x` (batch, time, width), result the same; `mask` and `lengths` as for the attention."""
        x = sequence(self, "input", x, self.width)
        x = self._residual(x, self.norm1, lambda y: self.attention(y, None, None, mask, lengths, self.causal))
        return self._residual(x, self.norm2, self._network)


class TransformerEncoder(Stack):
    """`layers` times `nn.TransformerEncoderLayer`, then `nn.LayerNorm`.

    Parts: `layers`, `norm`. With ``causal=True``, it is what language models call a decoder.

    Args:
        layers: how many.
        width, heads, hidden, causal, dropout, activation, norm_first: as for the layer.
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
        causal: bool = False,
        *,
        dropout: float = 0.0,
        activation: Any = "gelu",
        norm_first: bool = True,
        final_norm: bool = True,
    ) -> None:
        def make(activation: Any) -> TransformerEncoderLayer:
            return TransformerEncoderLayer(
                width, heads, hidden, causal, dropout=dropout, activation=activation, norm_first=norm_first
            )

        self._fill(layers, activation, make, final_norm)

    def __call__(self, x: Any, mask: Any = None, lengths: Any = None) -> Any:
        """`x` (batch, time, width), result the same; `mask` and `lengths` as for the attention."""
        return self._through(x, mask, lengths)
