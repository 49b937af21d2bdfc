"""Modules made of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from bpcore import ops
from bpcore.basics import texts
from bpcore.basics.settings import integer
from bpcore.nn.module import Module
from bpcore.symbolic import operators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bpcore.nn.module.parameter import Variable

__all__ = ["Concatenate", "Lambda", "Residual", "Sequential", "TimeDistributed"]


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
        if isinstance(key, slice):
            return Sequential(*self.layers[key])
        at = integer("Sequential", "the position of a layer", key)
        if not -len(self) <= at < len(self):
            raise IndexError(f"Sequential: there is no layer {at}, since it has {len(self)}")
        return self.layers[at]

    def __repr__(self) -> str:
        others = [
            (name, child)
            for name, child in super().named_children()
            if isinstance(child, Module) and not name.startswith("layers.")
        ]
        return texts.block(self, [*((str(i), layer) for i, layer in enumerate(self.layers)), *others])


class Concatenate(Module):
    """Several layers' results for one input, one after the other: concatenate(f(x), g(x), ...) along `axis`.

    Args:
        modules: the layers, modules or functions of a tensor; at least one.
        axis: the axis that the results may differ in.

    Raises TypeError for what can't be called, ValueError for results that don't fit together, or no layers.
    """

    def __init__(self, *modules: Callable[[Any], Any], axis: int = -1) -> None:
        _check_callables("Concatenate", modules)
        self.modules = modules
        self.axis = integer("Concatenate", "axis", axis)

    def __call__(self, x: Any) -> Any:
        """What all layers make of `x`, along `axis`."""
        parts = [module(x) for module in self.modules]
        shapes = [part.shape for part in parts]
        rank = len(shapes[0])
        if not -rank <= self.axis < rank:
            raise ValueError(f"{self._title()}: axis {self.axis} is out of range for shape {shapes[0]}")
        rests = {(*shape[: self.axis % rank], *shape[self.axis % rank + 1 :]) for shape in shapes}
        if len(rests) > 1 or any(len(shape) != rank for shape in shapes):
            raise ValueError(
                f"{self._title()}: results of shapes {', '.join(map(str, shapes))} differ beyond axis "
                f"{self.axis}"
            )
        return ops.concatenate(parts, self.axis)

    def __repr__(self) -> str:
        parts = [(f"modules.{i}", module) for i, module in enumerate(self.modules)]
        return texts.block(self, parts, [f"axis={self.axis}"])


class Residual(Module):
    """x + f(x), where f is layers one after the other.

    Source: K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition (2015).

    Args:
        modules: the layers of f, modules or functions of a tensor; at least one.
        shortcut: a layer that is applied to x before it is added, such as a convolution that changes the
            number of channels; None adds x itself.

    Raises TypeError for what can't be called, ValueError for shapes that differ, or no layers.
    """

    def __init__(self, *modules: Callable[[Any], Any], shortcut: Callable[[Any], Any] | None = None) -> None:
        _check_callables("Residual", modules)
        if shortcut is not None:
            _check_callables("Residual", [shortcut])
        self.modules = modules
        self.shortcut = shortcut

    def __call__(self, x: Any) -> Any:
        """`x`, or what the shortcut makes of it, plus what the layers make of it."""
        past = operators.operand(x if self.shortcut is None else self.shortcut(x), "Residual")
        y = x
        for module in self.modules:
            y = module(y)
        if past.shape != y.shape:
            what = "the input" if self.shortcut is None else "the shortcut's result"
            raise ValueError(
                f"{self._title()}: {what} has shape {past.shape}, the layers' result {y.shape}; "
                "a shortcut can bring the input to the same shape"
            )
        return ops.add(past, y)

    def __repr__(self) -> str:
        parts = [(f"modules.{i}", module) for i, module in enumerate(self.modules)]
        return texts.block(self, parts + ([] if self.shortcut is None else [("shortcut", self.shortcut)]))


class TimeDistributed(Module):
    """A layer applied to each time step by itself: `x` (batch, time, ...), result (batch, time, ...).

    The layer is called once, on all steps as one batch (batch · time, ...). So what looks at the batch, such
    as `nn.BatchNorm`, sees all of them.

    Args:
        module: a module or a function of a tensor.

    Raises TypeError for what can't be called, ValueError for input without time steps.
    """

    def __init__(self, module: Callable[[Any], Any]) -> None:
        _check_callables("TimeDistributed", [module])
        self.module = module

    def __call__(self, x: Any) -> Any:
        """`x` (batch, time, ...), result (batch, time, ...)."""
        x = operators.operand(x, "TimeDistributed")
        if x.ndim < 3:
            raise ValueError(f"{self._title()}: expected input of shape (batch, time, ...), got {x.shape}")
        batch, time = x.shape[:2]
        y = self.module(ops.reshape(x, (batch * time, *x.shape[2:])))
        return ops.reshape(y, (batch, time, *y.shape[1:]))

    def __repr__(self) -> str:
        return texts.call(self, [texts.short(self.module)])


class Lambda(Module):
    """Any function of a tensor as a layer, for instance `bpcore.ops` one after the other.

    Args:
        function: takes what the layer is called on. Modules in it are not found; make those attributes of a
            module of your own.

    Raises TypeError for what can't be called.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        _check_callables("Lambda", [function])
        self.function = function

    def __call__(self, *inputs: Any) -> Any:
        """What the function makes of `inputs`."""
        return self.function(*inputs)

    def __repr__(self) -> str:
        return texts.call(self, [texts.short(self.function)])


def _check_callables(who: str, modules: Sequence[Any]) -> None:
    if not modules:
        raise ValueError(f"{who}: expected at least one module")
    for each in modules:
        if isinstance(each, type) or not callable(each):
            raise TypeError(f"{who}: expected a module or a function, got {each!r}")
