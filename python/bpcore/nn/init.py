"""Initial values of parameters.

An initializer is called with the parameter's shape, a seed and a stream number (made from the parameter's
name) and returns float64 values; the same three give the same values on every machine.

Fans are those of a weight of shape (in, out), or (..., in, out) for a kernel that slides over the axes
before. Glorot: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural
networks (2010). He: K. He et al., Delving deep into rectifiers (2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bpcore._native import core
from bpcore.names import lookup

if TYPE_CHECKING:
    from bpcore.arrays import Array

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Ones",
    "Zeros",
    "resolve",
]

Initializer: TypeAlias = Callable[[tuple[int, ...], int, int], "Array"]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of `shape`; a vector counts as both."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


class _Simple:
    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Constant:
    """`value` everywhere."""

    def __init__(self, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"Constant: expected a number, got {type(value).__name__}")
        self.value = float(value)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """Values of `shape`, float64."""
        return np.full(shape, self.value)

    def __repr__(self) -> str:
        return f"Constant({self.value})"


class Zeros(Constant):
    """0 everywhere."""

    def __init__(self) -> None:
        super().__init__(0.0)

    __repr__ = _Simple.__repr__


class Ones(Constant):
    """1 everywhere."""

    def __init__(self) -> None:
        super().__init__(1.0)

    __repr__ = _Simple.__repr__


class GlorotUniform(_Simple):
    """Uniform in ±sqrt(6 / (fan_in + fan_out))."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return _uniform(math.sqrt(6 / max(1, sum(fans(shape)))), shape, seed, stream)


class GlorotNormal(_Simple):
    """Normal with standard deviation sqrt(2 / (fan_in + fan_out))."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return math.sqrt(2 / max(1, sum(fans(shape)))) * core.random_normal(shape, seed, stream)


class HeUniform(_Simple):
    """Uniform in ±sqrt(6 / fan_in)."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return _uniform(math.sqrt(6 / max(1, fans(shape)[0])), shape, seed, stream)


class HeNormal(_Simple):
    """Normal with standard deviation sqrt(2 / fan_in)."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        return math.sqrt(2 / max(1, fans(shape)[0])) * core.random_normal(shape, seed, stream)


def _uniform(limit: float, shape: tuple[int, ...], seed: int, stream: int) -> Array:
    return limit * (2 * core.random_uniform(shape, seed, stream) - 1)


_NAMED: dict[str, Callable[[], Initializer]] = {
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "ones": Ones,
    "zeros": Zeros,
}


def resolve(init: Any) -> Initializer:
    """An initializer from its name, a number (a constant) or an initializer itself."""
    if isinstance(init, str):
        return lookup("initializer", init, _NAMED)()
    if isinstance(init, (int, float, np.integer, np.floating)):
        return Constant(float(init))
    if callable(init):
        made: Initializer = init
        return made
    raise TypeError(f"an initializer is a name, a number or a function, got {type(init).__name__}")
