"""Activations: by name, as modules, or any function of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from bpcore import ops
from bpcore.names import lookup
from bpcore.nn.module import Module

__all__ = ["Activation", "Identity", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh", "resolve"]

Activation: TypeAlias = Callable[[Any], Any]


class ReLU(Module):
    """max(x, 0) of each element."""

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)) of each element."""

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return ops.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent of each element."""

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return ops.tanh(x)


class Identity(Module):
    """The input itself."""

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return x  # not a node of its own, which would keep what is before it and behind it from fusing


class Softmax(Module):
    """exp(x) divided by its sum along `axis`. Losses take logits: don't put it before "cross_entropy"."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return ops.softmax(x, self.axis)


class LogSoftmax(Module):
    """The logarithm of softmax along `axis`."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Any) -> Any:
        """`x` of any shape (float); the result has the same."""
        return ops.log_softmax(x, self.axis)


_NAMED: dict[str, Activation] = {
    "identity": ops.identity,
    "linear": ops.identity,
    "log_softmax": ops.log_softmax,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "softmax": ops.softmax,
    "tanh": ops.tanh,
}


def resolve(activation: Any) -> Activation | None:
    """The function that `activation` means: None, a name, a module or a function.

    Raises ValueError for an unknown name, naming the nearest known ones, TypeError for anything else.
    """
    if activation is None:
        return None
    if isinstance(activation, str):
        return lookup("activation", activation, _NAMED)
    if isinstance(activation, type):
        raise TypeError(
            f"an activation is a name, a function or a module: nn.{activation.__name__}(), with ()"
        )
    if callable(activation):
        made: Activation = activation
        return made
    raise TypeError(f"an activation is a name, a function or a module, got {type(activation).__name__}")
