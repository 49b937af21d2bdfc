"""Convolution and its derivatives in plain NumPy: a loop over the outputs and their patches of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.references import relu, sigmoid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

_ACTIVATIONS = {"": lambda y: y, "relu": relu, "sigmoid": sigmoid, "tanh": np.tanh}


class Window:
    """A kernel (height, width) that slides; `padding` is (above, below, left, right), as the core has it."""

    def __init__(
        self, kernel: Any, strides: list[int], padding: list[int], dilation: list[int], groups: int
    ) -> None:
        self.kernel, self.strides, self.padding, self.dilation = tuple(kernel), strides, padding, dilation
        self.groups = groups

    def padded(self, x: Array) -> Array:
        above, below, left, right = self.padding
        return np.pad(x, ((0, 0), (above, below), (left, right), (0, 0)))

    def inside(self, padded: Array) -> Array:
        """The part of a padded array that is not padding."""
        above, below, left, right = self.padding
        return padded[:, above : padded.shape[1] - below, left : padded.shape[2] - right]

    def counts(self, padded: Array) -> tuple[int, int]:
        sizes = zip(padded.shape[1:3], self.kernel, self.strides, self.dilation, strict=True)
        height, width = ((size - (k - 1) * apart - 1) // step + 1 for size, k, step, apart in sizes)
        return height, width

    def patches(self, padded: Array) -> Iterator[tuple[int, int, Array]]:
        """(i, j) of each output, and a view (batch, kernel height, width, channels) of what it sees."""
        (kh, kw), (dy, dx), (height, width) = self.kernel, self.dilation, self.counts(padded)
        for i in range(height):
            for j in range(width):
                top, left = i * self.strides[0], j * self.strides[1]
                rows, columns = (
                    slice(top, top + (kh - 1) * dy + 1, dy),
                    slice(left, left + (kw - 1) * dx + 1, dx),
                )
                yield i, j, padded[:, rows, columns]

    def shares(self, channels: int, filters: int) -> Iterator[tuple[slice, slice]]:
        """The channels and the filters of each group."""
        c, f = channels // self.groups, filters // self.groups
        for group in range(self.groups):
            yield slice(group * c, (group + 1) * c), slice(group * f, (group + 1) * f)


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, *, activation: str = "", **window: Any
) -> Array:
    slid = Window(weight.shape[:2], **window)
    padded = slid.padded(x)
    y = np.zeros((len(x), *slid.counts(padded), weight.shape[-1]))
    for i, j, patch in slid.patches(padded):
        for c, f in slid.shares(x.shape[-1], weight.shape[-1]):
            y[:, i, j, f] = np.einsum("nuvc,uvcf->nf", patch[..., c], weight[..., f])
    return np.asarray(_ACTIVATIONS[activation](y if bias is None else y + bias))


def conv2d_input_gradient(gradient: Array, weight: Array, *, size: list[int], **window: Any) -> Array:
    slid = Window(weight.shape[:2], **window)
    channels, filters = weight.shape[2] * slid.groups, weight.shape[3]
    padded = slid.padded(np.zeros((len(gradient), *size, channels)))
    for i, j, patch in slid.patches(padded):
        for c, f in slid.shares(channels, filters):
            patch[..., c] += np.einsum("nf,uvcf->nuvc", gradient[:, i, j, f], weight[..., f])
    return slid.inside(padded)


def conv2d_weight_gradient(x: Array, gradient: Array, *, kernel: list[int], **window: Any) -> Array:
    slid = Window(kernel, **window)
    channels, filters = x.shape[-1], gradient.shape[-1]
    found = np.zeros((*kernel, channels // slid.groups, filters))
    for i, j, patch in slid.patches(slid.padded(x)):
        for c, f in slid.shares(channels, filters):
            found[..., f] += np.einsum("nuvc,nf->uvcf", patch[..., c], gradient[:, i, j, f])
    return found


def conv2d_parameter_gradients(x: Array, gradient: Array, **settings: Any) -> Array:
    """The record: by weight and by bias, each filled up with zeros to a multiple of 16."""
    parts = conv2d_weight_gradient(x, gradient, **settings), gradient.sum((0, 1, 2))
    return np.concatenate([np.pad(part.ravel(), (0, -part.size % 16)) for part in parts])
