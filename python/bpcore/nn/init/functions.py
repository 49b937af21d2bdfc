"""Functions of one's own as initializers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bpcore.nn.init.common import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.nn.init.common import Initializer

__all__ = ["OfShape", "from_function"]


class OfShape(Settings):
    """A function of the shape alone as an initializer."""

    def __init__(self, function: Callable[[tuple[int, ...]], Any]) -> None:
        self.function = function

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """What the function makes of `shape`."""
        values: Array = self.function(shape)
        return values


def from_function(function: Callable[..., Any]) -> Initializer:
    """`function` as an initializer; it takes (shape, seed, stream), or the shape alone.

    It is given all three if it needs three, if its second and third parameter are called seed and stream, or
    if it takes any number of arguments (*args); else the shape: NumPy's `zeros` has three parameters, too.
    TypeError if it can be called neither way.
    """
    name = getattr(function, "__qualname__", repr(function))
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise TypeError(
            f"an initializer's parameters can't be found out for {name}; use lambda shape: {name}(...)"
        ) from None
    parameters = list(signature.parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in parameters if each.kind in kinds]
    keyed = (
        sum(each.default is inspect.Parameter.empty for each in positional) == 3
        or [each.name for each in positional[1:3]] == ["seed", "stream"]
        or any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters)
    )
    arguments = ("shape", "seed", "stream") if keyed else ("shape",)
    try:
        signature.bind(*arguments)
    except TypeError:
        raise TypeError(
            f"an initializer takes (shape, seed, stream), or (shape) alone, but {name} takes {signature}"
        ) from None
    return function if keyed else OfShape(function)
