"""What the layers of encoder and decoder share: residual parts, each with its normalisation and dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore import activations as functions
from bpcore.basics import settings, texts
from bpcore.nn import activations
from bpcore.nn.attention.sequences import sequence
from bpcore.nn.dense import Dense
from bpcore.nn.module import Module
from bpcore.nn.noise import Dropout
from bpcore.nn.normalization.per_sample import LayerNorm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Block", "Stack"]

_HALVING = (functions.glu, functions.swiglu)


class Block(Module):
    """A layer of residual parts, of which the last is a network of two dense layers."""

    _set_once = ("width", "heads", "hidden", "rate", "memory_width")
    _not_kept = ("activation",)

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        causal: bool,
        dropout: float,
        norm_first: bool,
    ) -> None:
        who = type(self).__name__
        self.width = settings.count(who, "width", width, 1)
        self.heads = settings.count(who, "heads", heads, 1)
        self.hidden = settings.count(who, "hidden", hidden, 1)
        if width % heads:
            raise ValueError(f"{who}: width {width} can't be cut into {heads} heads")
        self.causal = settings.flag(who, "causal", causal)
        self.norm_first = settings.flag(who, "norm_first", norm_first)
        self.rate = settings.number(who, "dropout", dropout, least=0, most=1)

    def _add_network(self, activation: Any) -> None:
        function = activations.resolve(activation, type(self).__name__)
        halves = getattr(type(function), "_function", function) in _HALVING
        if halves and self.hidden % 2:
            raise ValueError(
                f"{type(self).__name__}: hidden {self.hidden} must be even for an activation that halves it"
            )
        self.dense1 = Dense(self.hidden, function, in_features=self.width)
        self.dense2 = Dense(self.width, in_features=self.hidden // 2 if halves else self.hidden)
        self.dropout = Dropout(self.rate)

    def _network(self, x: Any) -> Any:
        return self.dense2(self.dropout(self.dense1(x)))

    def _residual(self, x: Any, norm: LayerNorm, part: Callable[[Any], Any]) -> Any:
        """x + part(norm(x)), or norm(x + part(x)) unless `norm_first`."""
        if self.norm_first:
            return x + self.dropout(part(norm(x)))
        return norm(x + self.dropout(part(x)))

    def _settings(self) -> list[str]:
        """What `repr` says of it."""
        activation = self.dense1.activation
        found = [str(self.width), str(self.heads), str(self.hidden), f"causal={self.causal}"]
        found += [f"dropout={self.rate}"] if self.rate else []
        found += [] if activation is functions.gelu else [f"activation={texts.short(activation)}"]
        return found if self.norm_first else [*found, "norm_first=False"]

    def __repr__(self) -> str:
        return texts.call(self, self._settings())


class Stack(Module):
    """Layers one after the other, and a normalisation of what the last one gives."""

    _set_once = ("width",)
    _not_kept = (
        "heads", "hidden", "causal", "memory_width", "dropout", "activation", "norm_first", "final_norm",
    )  # fmt: skip

    layers: list[Any]
    norm: LayerNorm | None

    def _fill(self, count: int, activation: Any, make: Callable[[Any], Block], final_norm: bool) -> None:
        """`count` layers, which `make` makes with the activation, each with its own if that is a module."""
        who = type(self).__name__
        self.layers = [
            make(activation.copy() if isinstance(activation, Module) else activation)
            for _ in range(settings.count(who, "layers", count, 1))
        ]
        self.width: int = self.layers[0].width
        self.norm = LayerNorm(self.width) if settings.flag(who, "final_norm", final_norm) else None

    def _through(self, x: Any, *others: Any) -> Any:
        x = sequence(self, "input", x, self.width)
        for layer in self.layers:
            x = layer(x, *others)
        return x if self.norm is None else self.norm(x)

    def __repr__(self) -> str:
        final = [] if self.norm is not None else ["final_norm=False"]
        return texts.call(self, [str(len(self.layers)), *self.layers[0]._settings(), *final])
