"""Initial values that are not random."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bpcore.basics.settings import number
from bpcore.nn.init.common import Settings

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Constant(Settings):
    """`value` everywhere; TypeError if it is not a number, ValueError for NaN.

    Infinity is for states, such as a running minimum; a parameter must be finite.
    """

    def __init__(self, value: float = 0.0) -> None:
        infinite = isinstance(value, (float, np.floating)) and math.isinf(value)
        self.value = float(value) if infinite else number("Constant", "value", value)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """Values of `shape`, float64."""
        return np.full(shape, self.value)


class Zeros(Settings):
    """0 everywhere."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """Values of `shape`, float64."""
        return np.zeros(shape)


class Ones(Settings):
    """1 everywhere."""

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """Values of `shape`, float64."""
        return np.ones(shape)


class Identity(Settings):
    """`gain` on the diagonal of a matrix, 0 elsewhere: as many inputs as possible come out as they are.

    TypeError if `gain` is not a number, ValueError if it is not finite, and for shapes without two axes.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("Identity", "gain", gain)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:  # noqa: ARG002 - the protocol
        """Values of `shape` (rows, columns), float64."""
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a shape of two axes, got {shape}")
        return self.gain * np.eye(*shape)
