"""Positions: what tells attention, which sees sets, the order of a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.settings import count
from bpcore.nn.attention.sequences import sequence
from bpcore.nn.init import Normal
from bpcore.nn.module import Module
from bpcore.nn.module.parameter import Parameter
from bpcore.symbolic import operators

__all__ = ["LearnedPositions", "SinusoidalPositions", "rotated"]

_BASE = 10000.0


class LearnedPositions(Module):
    """x + a learned vector for each position: `x` (batch, time, width), time ≤ length, result the same.

    Parameter: `weight` (length, width), initially normal with a standard deviation of 0.02.

    Args:
        length: the longest sequence there may be.
        width: size of the input's last axis; taken from the first input if None.

    Raises ValueError for sizes below 1 and for a sequence longer than the positions, TypeError for sizes that
    are not integers.
    """

    _set_once = ("length",)
    _not_kept = ("width",)

    def __init__(self, length: int, width: int | None = None) -> None:
        self.length = count("LearnedPositions", "length", length, 1)
        if width is not None:
            width = count("LearnedPositions", "width", width, 1)
        self.weight = Parameter((self.length, width), Normal(std=0.02))

    @property
    def width(self) -> int | None:
        """Size of the input's last axis, None while it isn't known."""
        return self.weight.sizes[1]

    def __call__(self, x: Any) -> Any:
        """`x` (batch, time, width), result the same."""
        x = sequence(self, "input", x, self.width)
        time = x.shape[1]
        if time > self.length:
            raise ValueError(
                f"{self._title()}: a sequence of {time} is longer than the {self.length} positions"
            )
        self.weight.infer((self.length, x.shape[2]))
        return x + (self.weight if time == self.length else self.weight[:time])

    def __repr__(self) -> str:
        return f"LearnedPositions({self.length}, {self.width})"


class SinusoidalPositions(Module):
    """x + fixed waves: feature 2i of position p gets sin(p / 10000^(2i / width)), feature 2i + 1 the cosine.

    `x` (batch, time, width), result the same; any time.

    Source: A. Vaswani et al., Attention is all you need (2017).
    """

    def __call__(self, x: Any) -> Any:
        """`x` (batch, time, width), result the same."""
        x = sequence(self, "input", x, None)
        _, time, width = x.shape
        angles = _angles(time, (width + 1) // 2, width / 2)
        waves = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(time, 2 * len(angles.T))[:, :width]
        return x + waves.astype(str(x.dtype))

    def __repr__(self) -> str:
        return "SinusoidalPositions()"


def rotated(x: Any) -> Any:
    """`x` (batch, time, heads, width), each pair of features i and i + width / 2 turned by its angle."""
    item = operators.operand(x, "rotary positions")
    half = item.shape[3] // 2
    angles = _angles(item.shape[1], half, half)[:, None]
    cosine, sine = np.cos(angles).astype(str(item.dtype)), np.sin(angles).astype(str(item.dtype))
    a, b = item[..., :half], item[..., half:]
    return ops.concatenate([a * cosine - b * sine, b * cosine + a * sine], -1)


def _angles(time: int, frequencies: int, period: float) -> Any:
    """position · 10000^(-i / period), as (time, frequencies)."""
    return np.arange(time)[:, None] * _BASE ** (-np.arange(frequencies) / max(period, 0.5))
