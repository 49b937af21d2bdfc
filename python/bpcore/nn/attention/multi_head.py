"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.settings import count, flag, number
from bpcore.nn.attention.positions import rotated
from bpcore.nn.attention.sequences import sequence
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter
from bpcore.ops.attention import attend, packed_attention

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(Module):
    """Attention of several heads, each on its share of the features, between two linear maps.

    q = query · Wq + bq, k = key · Wk + bk, v = value · Wv + bv, cut into heads of width / heads features;
    ``ops.scaled_dot_product_attention(q, k, v)`` for each; what they give side by side, times `out_weight`,
    plus `out_bias`.

    Source: A. Vaswani et al., Attention is all you need (2017).

    Parameters: `in_weight` (width, 3 · width), which is Wq, Wk and Wv side by side, so that self-attention is
        one product, and `in_bias` (3 · width,). With `key_width` or `value_width`, in place of `in_weight`:
        `query_weight` (width, width), `key_weight` (key_width, width), `value_weight` (value_width, width).
        `out_weight` (width, width), `out_bias` (width,). Weights begin as Glorot uniform, biases as 0.

    Args:
        heads: number of heads, a divisor of width.
        width: size of the query's last axis, and of the result's; taken from the first input if None.
        key_width, value_width: sizes of the last axes of key and value, where they are not `width`.
        dropout: share of the attention weights that training drops.
        use_bias: False leaves the biases out.
        rotary: True turns queries and keys by angles that grow with their positions, so that their products
            depend on distances alone (J. Su et al., RoFormer, 2021): features i and i + h of a head, h half
            its width, by position · 10000^(-i / h). The width of a head must then be even.

    Raises ValueError for values out of range and input that doesn't fit, TypeError for values of another
    kind.
    """

    _not_kept = ("width", "key_width", "value_width", "use_bias")

    def __init__(
        self,
        heads: int,
        *,
        width: int | None = None,
        key_width: int | None = None,
        value_width: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        rotary: bool = False,
    ) -> None:
        who = "MultiHeadAttention"
        self.heads = count(who, "heads", heads, 1)
        self.dropout = number(who, "dropout", dropout, least=0, most=1)
        self.rotary = flag(who, "rotary", rotary)
        if width is not None:
            self._check_heads(count(who, "width", width, 1))
        self._separate = key_width is not None or value_width is not None
        if self._separate:
            keys = width if key_width is None else count(who, "key_width", key_width, 1)
            values = width if value_width is None else count(who, "value_width", value_width, 1)
            self.query_weight = Parameter((width, width))
            self.key_weight = Parameter((keys, width))
            self.value_weight = Parameter((values, width))
        else:
            self.in_weight = Parameter((width, None if width is None else 3 * width))
        use_bias = flag(who, "use_bias", use_bias)
        self.in_bias = Parameter(None if width is None else 3 * width, "zeros") if use_bias else None
        self.out_weight = Parameter((width, width))
        self.out_bias = Parameter(width, "zeros") if use_bias else None

    @property
    def width(self) -> int | None:
        """Size of the query's last axis, None while it isn't known."""
        return self.out_weight.sizes[0]

    def __call__(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        mask: Any = None,
        lengths: Any = None,
        causal: bool = False,
    ) -> Any:
        """`query` (batch, queries, width), result the same.

        Args:
            key: (batch, keys, key_width); the query unless given, which is self-attention.
            value: (batch, keys, value_width); the key unless given.
            mask: bool, True where a key is seen; broadcasts to (batch, heads, queries, keys).
            lengths: integers (batch,): only the first so many keys of a sample are seen.
            causal: query i sees keys 0 ... i only.
        """
        query = sequence(self, "query", query, self.width)
        self._infer(query.shape[2])
        if key is None and value is not None:
            raise ValueError(f"{self._title()}: a value needs a key")
        path = self._bpcore.path
        if key is None and not self._separate and not self.rotary:
            qkv = ops.dense(query, self.in_weight, self.in_bias)
            y = packed_attention(qkv, self.heads, mask, causal, self.dropout, lengths, path)
        else:
            q, k, v = self._projected(query, key, value)
            y = attend([q, k, v], 0, q.shape, mask, causal, None, self.dropout, lengths, path)
            y = ops.reshape(y, query.shape)
        return ops.dense(y, self.out_weight, self.out_bias)

    def _projected(self, query: Any, key: Any, value: Any) -> list[Any]:
        """q, k and v, each (batch, time, heads, width / heads)."""
        width = query.shape[2]
        if key is None and not self._separate:
            qkv = ops.dense(query, self.in_weight, self.in_bias)
            parts = [qkv[:, :, i * width : (i + 1) * width] for i in range(3)]
        else:
            key = query if key is None else key
            value = key if value is None else value
            weights = self._weights(width)
            key = sequence(self, "key", key, weights[1].shape[0])
            value = sequence(self, "value", value, weights[2].shape[0])
            if not key.shape[:2] == value.shape[:2] == (query.shape[0], key.shape[1]):
                raise ValueError(
                    f"{self._title()}: expected as many samples in query, key and value, and as many keys as "
                    f"values, got shapes {query.shape}, {key.shape} and {value.shape}"
                )
            parts = [
                ops.dense(x, weight, self._bias(i * width, width))
                for i, (x, weight) in enumerate(zip((query, key, value), weights, strict=True))
            ]
        shaped = [ops.reshape(x, (*x.shape[:2], self.heads, width // self.heads)) for x in parts]
        return [rotated(x) if self.rotary and i < 2 else x for i, x in enumerate(shaped)]

    def _weights(self, width: int) -> list[Any]:
        """Those of query, key and value."""
        if self._separate:
            return [self.query_weight, self.key_weight, self.value_weight]
        return [self.in_weight[:, i * width : (i + 1) * width] for i in range(3)]

    def _bias(self, begin: int, width: int) -> Any:
        return None if self.in_bias is None else self.in_bias[begin : begin + width]

    def _infer(self, width: int) -> None:
        self._check_heads(width)
        if self._separate:
            self.query_weight.infer((width, width))
            for weight in (self.key_weight, self.value_weight):
                weight.infer((weight.sizes[0] or width, width))
        else:
            self.in_weight.infer((width, 3 * width))
        self.out_weight.infer((width, width))
        if self.in_bias is not None and self.out_bias is not None:
            self.in_bias.infer((3 * width,))
            self.out_bias.infer((width,))

    def _check_heads(self, width: int) -> None:
        if width % self.heads:
            raise ValueError(f"{self._title()}: width {width} can't be cut into {self.heads} heads")
        if self.rotary and width // self.heads % 2:
            raise ValueError(
                f"{self._title()}: rotary positions need heads of an even width, got {width // self.heads}"
            )

    def __repr__(self) -> str:
        sizes = [str(self.heads), f"width={self.width}"]
        if self._separate:
            sizes += [f"key_width={self.key_weight.sizes[0]}", f"value_width={self.value_weight.sizes[0]}"]
        options = texts.changed(
            MultiHeadAttention,
            dropout=self.dropout,
            use_bias=self.in_bias is not None,
            rotary=self.rotary,
        )
        return texts.call(self, [*sizes, *options])
