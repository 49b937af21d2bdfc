"""Random changes of batches of images, for `Trainer.fit(..., augment=)`: functions of (x, rng)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.settings import count, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array

__all__ = ["compose", "random_flip", "random_shift"]


def compose(*functions: Callable[[Any, np.random.Generator], Any]) -> Callable[..., Any]:
    """A function of (x, rng) that calls these one after the other, each with what the one before returned.

    ::

        shift = functools.partial(data.random_shift, most=4)
        trainer.fit(x, y, epochs=10, augment=data.compose(data.random_flip, shift))
    """

    def composed(x: Any, rng: np.random.Generator) -> Any:
        for function in functions:
            x = function(x, rng)
        return x

    return composed


def random_flip(x: Array, rng: np.random.Generator, *, probability: float = 0.5) -> Array:
    """Each image mirrored from left to right with this probability.

    `x` has the shape (batch, height, width) or (batch, height, width, channels), of any dtype; so has the
    result. ValueError for another one, and for a probability outside of [0, 1].
    """
    number("random_flip", "probability", probability, least=0, most=1)
    chosen = rng.random(len(_images("random_flip", x))) < probability
    flipped: Array = x.copy()
    flipped[chosen] = x[chosen][:, :, ::-1]
    return flipped


def random_shift(x: Array, rng: np.random.Generator, *, most: int = 2) -> Array:
    """Each image moved by up to `most` pixels up or down and left or right; what comes in is 0.

    The same as a random crop of an image that is padded with `most` zeros. Every pair of shifts is as likely.
    `x` has the shape (batch, height, width) or (batch, height, width, channels), of any dtype; so has the
    result. ValueError for another one, and for a negative `most`.
    """
    count("random_shift", "most", most, 0)
    n, height, width = _images("random_shift", x).shape[:3]
    padded = np.zeros((n, height + 2 * most, width + 2 * most, *x.shape[3:]), x.dtype)
    padded[:, most : most + height, most : most + width] = x
    top, left = rng.integers(0, 2 * most + 1, (2, n, 1))
    rows, columns = top + np.arange(height), left + np.arange(width)
    shifted: Array = padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return shifted


def _images(who: str, x: Any) -> Array:
    if not isinstance(x, np.ndarray) or x.ndim not in (3, 4):
        shape = getattr(x, "shape", type(x).__name__)
        raise ValueError(f"{who}: x must be images (batch, height, width, channels), got {shape}")
    return x
