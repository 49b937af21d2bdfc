"""Modules made of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from bpcore.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bpcore.nn.parameter import Variable

__all__ = ["Sequential"]


class Sequential(Module):
    """Layers one after the other: each is called on the output of the one before.

    A layer is a module or any function of a tensor. Parameters are named by position: ``0.weight``,
    ``0.bias``, ... ``model[i]`` is the layer at position i, ``model[:i]`` a model of the first i, which
    shares their parameters.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                raise TypeError(f"Sequential: layer {i} must be a module or a function, got {layer!r}")
        self.layers = layers

    def named_children(self) -> Iterator[tuple[str, Module | Variable]]:
        """The layers, called "0", "1", ..., then what else was set as an attribute."""
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Module):
                yield str(i), layer
        yield from (
            (name, child) for name, child in super().named_children() if not name.startswith("layers.")
        )

    def __call__(self, x: Any) -> Any:
        """What the last layer makes of what the others made of `x`."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, key: int) -> Callable[[Any], Any]: ...
    @overload
    def __getitem__(self, key: slice) -> Sequential: ...
    def __getitem__(self, key: int | slice) -> Callable[[Any], Any] | Sequential:
        return Sequential(*self.layers[key]) if isinstance(key, slice) else self.layers[key]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"
