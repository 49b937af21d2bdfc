"""Convolution in plain NumPy: one loop over the outputs, one sum each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.references import relu, sigmoid

Array = NDArray[Any]

_ACTIVATIONS = {"": lambda y: y, "relu": relu, "sigmoid": sigmoid, "tanh": np.tanh}


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    strides: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    activation: str = "",
) -> Array:
    """`padding` (above, below, left, right), as the core's op has it."""
    above, below, left, right = padding
    padded = np.pad(x, ((0, 0), (above, below), (left, right), (0, 0)))
    (kh, kw, channels, filters), (dy, dx) = weight.shape, dilation
    height = (padded.shape[1] - (kh - 1) * dy - 1) // strides[0] + 1
    width = (padded.shape[2] - (kw - 1) * dx - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], height, width, filters))
    share = filters // groups
    for i in range(height):
        for j in range(width):
            top, begin = i * strides[0], j * strides[1]
            patch = padded[:, top : top + (kh - 1) * dy + 1 : dy, begin : begin + (kw - 1) * dx + 1 : dx]
            for group in range(groups):
                mine = slice(group * share, (group + 1) * share)
                seen = patch[..., group * channels : (group + 1) * channels]
                y[:, i, j, mine] = np.einsum("nuvc,uvcf->nf", seen, weight[..., mine])
    return np.asarray(_ACTIVATIONS[activation](y if bias is None else y + bias))


def _transposed(linear: Any, shape: tuple[int, ...], seed: Array) -> Array:
    """The transpose of a linear function of arrays of `shape`, column by column."""
    found = np.zeros(shape)
    for place in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[place] = 1
        found[place] = (linear(unit) * seed).sum()
    return found


def conv2d_input_gradient(
    gradient: Array, weight: Array, *, size: list[int], groups: int, **window: Any
) -> Array:
    shape = (len(gradient), *size, weight.shape[2] * groups)
    return _transposed(lambda x: conv2d(x, weight, groups=groups, **window), shape, gradient)


def conv2d_weight_gradient(
    x: Array, gradient: Array, *, kernel: list[int], groups: int, **window: Any
) -> Array:
    shape = (*kernel, x.shape[-1] // groups, gradient.shape[-1])
    return _transposed(lambda weight: conv2d(x, weight, groups=groups, **window), shape, gradient)
