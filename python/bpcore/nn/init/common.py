"""What initializers share: their type, their settings in words, the fans of a weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Initializer", "Settings", "fans"]

Initializer: TypeAlias = Callable[[tuple[int, ...], int, int], "Array"]


class Settings:
    """Shows its attributes, which are its settings, as it was made with them."""

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
        )


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of `shape`; a vector counts as both."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]
