"""Pooling in NumPy, one window after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def windows_of(
    shape: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """(row, column) of each window over (batch, height, width, channels), and the pixels of it, row by row.

    Those of the padding (top, bottom, left, right) are left out.
    """
    height, width = shape[1:3]
    rows = (height + padding[0] + padding[1] - dilation[0] * (window[0] - 1) - 1) // strides[0] + 1
    columns = (width + padding[2] + padding[3] - dilation[1] * (window[1] - 1) - 1) // strides[1] + 1
    for row in range(rows):
        for column in range(columns):
            pixels = [
                (
                    row * strides[0] - padding[0] + i * dilation[0],
                    column * strides[1] - padding[2] + j * dilation[1],
                )
                for i in range(window[0])
                for j in range(window[1])
            ]
            yield (row, column), [(y, x) for y, x in pixels if 0 <= y < height and 0 <= x < width]


def _empty(x: Array, settings: dict[str, Any]) -> Array:
    rows, columns = [last + 1 for last in list(windows_of(x.shape, **settings))[-1][0]]
    return np.zeros((x.shape[0], rows, columns, x.shape[3]), x.dtype)


def max_pool(x: Array, **settings: Any) -> Array:
    return pick(x, x, **settings)


def _first_largest(x: Array, pixels: list[tuple[int, int]]) -> Array:
    """(batch, channels): the number of the first of the largest pixels, of the first NaN if there is one."""
    return np.argmax(np.stack([x[:, i, j] for i, j in pixels]), axis=0)


def pick(x: Array, v: Array, **settings: Any) -> Array:
    y = _empty(x, settings)
    for (row, column), pixels in windows_of(x.shape, **settings):
        values = np.stack([v[:, i, j] for i, j in pixels])
        y[:, row, column] = np.take_along_axis(values, _first_largest(x, pixels)[None], 0)[0]
    return y


def max_pool_gradient(x: Array, g: Array, **settings: Any) -> Array:
    out = np.zeros_like(x)
    for (row, column), pixels in windows_of(x.shape, **settings):
        largest = _first_largest(x, pixels)
        for number, (i, j) in enumerate(pixels):
            out[:, i, j] += np.where(largest == number, g[:, row, column], 0)
    return out


def avg_pool(x: Array, count_padding: bool = False, **settings: Any) -> Array:
    y = _empty(x, settings)
    for (row, column), pixels in windows_of(x.shape, **settings):
        count = settings["window"][0] * settings["window"][1] if count_padding else len(pixels)
        y[:, row, column] = sum(x[:, i, j] for i, j in pixels) / count
    return y


def avg_pool_gradient(g: Array, shape: Sequence[int], count_padding: bool = False, **settings: Any) -> Array:
    out = np.zeros(shape, g.dtype)
    for (row, column), pixels in windows_of(shape, **settings):
        count = settings["window"][0] * settings["window"][1] if count_padding else len(pixels)
        for i, j in pixels:
            out[:, i, j] += g[:, row, column] / count
    return out
