"""Inputs for checks: float64 arrays, the same at every run. `key` tells draws of one shape apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Shape = tuple[int, ...]

# Around the widths of vectors (4 to 16 elements) and of blocks; the last is more than one task (16384).
VECTOR_SHAPES: list[Shape] = [
    (),
    (1,),
    (7,),
    (15,),
    (16,),
    (17,),
    (33,),
    (100,),
    (0,),
    (3, 0),
    (2, 1, 5),
    (5, 3300),
]

# Broadcasting to either side and to both, in front, in the middle and at the end; the last two are of several
# tasks.
BROADCAST_SHAPES: list[tuple[Shape, Shape]] = [
    ((), ()),
    ((7,), (7,)),
    ((33,), (33,)),
    ((), (17,)),
    ((17,), ()),
    ((1,), (33,)),
    ((5, 1), (1, 4)),
    ((3, 1, 5), (4, 1)),
    ((2, 3, 4), (3, 4)),
    ((3, 4), (2, 3, 4)),
    ((2, 3, 4), (2, 1, 4)),
    ((1, 1), (2, 3)),
    ((0,), (1,)),
    ((0, 3), (3,)),
    ((0, 1), (1, 4)),
    ((130, 130), (130,)),
    ((130, 1), (130, 130)),
]


def _generator(shape: Shape, key: int) -> np.random.Generator:
    return np.random.default_rng([key, len(shape), *shape])


def normal(shape: Shape, key: int = 0) -> NDArray[Any]:
    """Standard normal numbers."""
    return np.asarray(_generator(shape, key).standard_normal(shape))


def positive(shape: Shape, key: int = 0) -> NDArray[Any]:
    """Between 0.3 and 3."""
    return np.asarray(_generator(shape, key).uniform(0.3, 3, shape))


def off_grid(shape: Shape, key: int = 0) -> NDArray[Any]:
    """Halves, moved by 0.125 · (1 + key): 0.125 at least from zero, and from draws of another `key` below 3.

    For functions with kinks there, which differences can't see across.
    """
    halves = np.round(2 * _generator(shape, key).standard_normal(shape)) / 2
    return np.asarray(halves + 0.125 * (1 + key))


def distinct(shape: Shape, key: int = 0) -> NDArray[Any]:
    """Multiples of 0.1 in random order, no two alike."""
    count = int(np.prod(shape))
    return np.asarray(0.1 * (_generator(shape, key).permutation(count) - count // 2)).reshape(shape)


def integers(shape: Shape, low: int, high: int, key: int = 0) -> NDArray[np.int64]:
    """int64, low <= value < high."""
    return np.asarray(_generator(shape, key).integers(low, high, shape), dtype=np.int64)


def mask(shape: Shape, key: int = 0) -> NDArray[np.bool_]:
    """True about half of the time."""
    return np.asarray(_generator(shape, key).random(shape) < 0.5)
